// Zod, with which the reference reads descriptions, tries `new Function` to learn whether it may compile its checks. The
// policy forbids that and browsers report the attempt; told so beforehand, it does not try. To be imported before Zod is:
// it takes its settings from here.
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } })

export {}
