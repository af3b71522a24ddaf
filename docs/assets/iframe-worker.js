/* Pages that were opened from a folder may start no workers, and the search is one. There, a frame of the same page stands in for it. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inside = frame.contentWindow
      inside.postMessage = data => this.#tell(data)
      const script = inside.document.createElement("script")
      this.ready = new Promise((done, failed) => {
        script.onload = done
        script.onerror = () => failed(new Error(`${address} cannot be read`))
      })
      script.src = new URL(address, location.href).href
      inside.document.body.append(script)
      this.frame = frame
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }

    #tell(data) {
      const event = new MessageEvent("message", { data })
      this.dispatchEvent(event)
      this.onmessage?.(event)
    }
  }
}
