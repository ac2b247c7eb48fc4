# Loads folders into the real PEFT and measures the updates it makes of them; called by bench/peft-export.ts.
# Standard input: [{"dir", "config"}], config being that of the base; standard output: one JSON object per line.
import json
import sys
import warnings

import peft
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()


def fingerprint(update):
    rows = torch.arange(update.shape[0]) % 7 + 1
    columns = torch.arange(update.shape[1]) % 5 + 1
    return {
        "frobenius": update.norm().item(),
        "weightedSum": (update * rows[:, None] * columns[None, :]).sum().item(),
    }


def modules_of(model):
    for name, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A") and len(module.lora_A) + len(module.lora_embedding_A) > 0:
            a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
            yield name, module.scaling["default"] * (b.double() @ a.double())


def loaded(job):
    config = AutoConfig.for_model(**job["config"])
    # An adapter changes no weight of the base, so the base's own may be any.
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    stored = peft.utils.load_peft_weights(job["dir"], device="cpu")
    model = peft.PeftModel.from_pretrained(model, job["dir"])
    taken = peft.get_peft_model_state_dict(model)
    return {
        "sameTensors": stored.keys() == taken.keys() and all(torch.equal(stored[key], taken[key]) for key in stored),
        "modules": {name: fingerprint(update.detach()) for name, update in modules_of(model)},
    }


print(json.dumps({"peft": peft.__version__, "transformers": transformers.__version__, "torch": torch.__version__}))
for job in json.load(sys.stdin):
    print(json.dumps(loaded(job)), flush=True)
