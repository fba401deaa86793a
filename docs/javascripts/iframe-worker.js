// Browsers start no worker for a page that was opened from disk. There its script runs in a hidden frame instead, so that search
// works in a site that nobody serves. mkdocs.yml names this file as a polyfill, which also keeps the offline plugin from fetching one.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      this.inside = frame.contentWindow
      this.inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      // A worker's own loads at once. A page cannot, so this one is a promise, which Material's script awaits.
      this.inside.importScripts = (...urls) => urls.reduce((last, each) => last.then(() => this.load(each)), Promise.resolve())
      this.load(url).then(() => {
        this.waiting.forEach(data => this.send(data))
        this.waiting = null
      })
    }

    load(url) {
      return new Promise((done, failed) => {
        const script = this.inside.document.createElement("script")
        script.src = url
        script.onload = done
        script.onerror = failed
        this.inside.document.documentElement.append(script)
      })
    }

    send(data) {
      this.inside.dispatchEvent(new MessageEvent("message", { data }))
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data)
      else this.send(data)
    }

    terminate() {
      this.inside.frameElement.remove()
    }
  }
}
