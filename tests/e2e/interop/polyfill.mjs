// js-libp2p 3 expects Node.js 22. Of what it uses, Node.js 20 lacks this one function.

Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { [resolve, reject] = [yes, no] })
  return { promise, resolve, reject }
}
