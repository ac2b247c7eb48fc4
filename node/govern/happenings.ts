// What happens on this node, as it happens, for everybody who wants to see it live. The last few hundred events are kept, so that whoever
// was cut off for a moment goes on where it was.

/** What an event is about. `community` is an id in hex; times are ISO 8601; people are identities as text. */
export type Happening = {
  readonly [Type in keyof HappeningData]: { readonly type: Type } & HappeningData[Type]
}[keyof HappeningData]

interface HappeningData {
  /** A log grew. Without `community` it is an author's public one. */
  readonly records: { readonly community?: string; readonly author: string; readonly count: number }
  /** A community was followed, left, or became known. */
  readonly community: { readonly community: string }
  /** `proposal`, here and below: its record id. */
  readonly proposal: { readonly community: string; readonly proposal: string } & Detail
  readonly ballot: { readonly community: string; readonly proposal: string } & Detail
  readonly comment: { readonly community: string; readonly proposal: string } & Detail
  /** Somebody measured what an upgrade proposes. */
  readonly evaluation: { readonly community: string; readonly proposal: string } & Detail
  /** The chain of certificates grew. */
  readonly decided: { readonly community: string; readonly certificate: string } & Detail
  readonly 'delegate-misbehaved': { readonly community: string; readonly delegate: string }
  /** An author signed two records at one position of a log. */
  readonly fork: { readonly community?: string; readonly author: string; readonly index: number; readonly own: boolean }
  readonly peers: { readonly connected: number }
  /** Actions that wait for a peer before they are signed. */
  readonly pending: { readonly waiting: number }
  readonly 'peer-broke-rules': { readonly peer: string; readonly message: string }
  readonly failed: { readonly message: string }
  readonly 'persona-moved': { readonly from: string; readonly to: string; readonly changes: readonly object[] }
}

type Detail = Readonly<Record<string, unknown>>

export type NumberedHappening = Happening & { readonly id: string }

const keptEvents = 256

export class Happenings {
  readonly #epoch: string
  readonly #kept: NumberedHappening[] = []
  readonly #listeners = new Set<(event: NumberedHappening) => void>()
  #count = 0

  /** `epoch`: other in every run of the node, so that an event's id can't be taken for one of an earlier run. */
  constructor(epoch: string) {
    this.#epoch = epoch
  }

  /** The id of the last event, or of the time before the first. */
  get lastId(): string {
    return this.#idOf(this.#count)
  }

  tell(happening: Happening): void {
    this.#count += 1
    const event = { ...happening, id: this.lastId }
    this.#kept.push(event)
    if (this.#kept.length > keptEvents) this.#kept.shift()
    for (const listener of this.#listeners) listener(event)
  }

  /** What came after the event with this id, in order; undefined where that isn't known any more. */
  since(id: string): readonly NumberedHappening[] | undefined {
    const oldest = this.#count - this.#kept.length
    for (let at = oldest; at <= this.#count; at++) if (this.#idOf(at) === id) return this.#kept.slice(at - oldest)
    return undefined
  }

  listen(listener: (event: NumberedHappening) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #idOf(count: number): string {
    return `${this.#epoch}-${count}`
  }
}
