/**
 * URL of a child's entry point next to the calling module: `siblingEntry('./engine-child/main', import.meta.url)`.
 * The clone runs `.ts` files and the package compiled `.js` files, so the extension is that of the caller.
 */
export function siblingEntry(pathWithoutExtension: string, callerUrl: string): URL {
  const extension = callerUrl.endsWith('.ts') ? '.ts' : '.js'
  return new URL(pathWithoutExtension + extension, callerUrl)
}
