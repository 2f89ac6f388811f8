// Turns off the JIT of Zod, which the API reference uses to validate the description. Zod probes `new Function`, which
// the content security policy forbids and browsers report as a violation. Must be imported before Zod, which reads its
// settings from this global.
Object.assign(globalThis, { __zod_globalConfig: { jitless: true } })

export {}
