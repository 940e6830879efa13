// Takes photos by mouse, file dialogue or paste, and sends them one after the other.
export default {
  template: `
    <div class="intake" :class="{ over }">
      <input ref="file" id="photos" class="unseen" type="file" multiple :accept="accept"
        @change="choose" />
      <label for="photos">
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 16V5m0 0L7.5 9.5M12 5l4.5 4.5M4 16v3h16v-3" /></svg>
        <span class="lead"><span class="mouse">Drop photos or </span><u>choose files</u></span>
        <span class="hint"><span class="mouse">Or paste one. </span>Up to {{ megabytes }} MB each.</span>
      </label>
      <p class="sending" role="status">{{ message }}</p>
    </div>`,
  props: { base: String, accept: String, maxBytes: Number, guarded: Boolean },
  emits: ["refuse"],
  data: () => ({ over: false, message: "", waiting: [], sending: false, sent: 0 }),
  computed: {
    megabytes() {
      return this.maxBytes / 1e6;
    },
  },
  mounted() {
    this.listeners = {
      dragover: (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        this.over = true;
      },
      dragleave: (event) => {
        if (!event.relatedTarget) this.over = false;
      },
      drop: (event) => {
        this.over = false;
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        const folders = [...event.dataTransfer.items].map(
          (item) => item.webkitGetAsEntry?.()?.isDirectory,
        );
        const files = [...event.dataTransfer.files];
        this.add(files.filter((_, place) => !folders[place]));
        files
          .filter((_, place) => folders[place])
          .forEach((file) => this.$emit("refuse", { name: file.name, why: "folder" }));
      },
      paste: (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (!files.length) return;
        event.preventDefault();
        this.add(files);
      },
      beforeunload: (event) => {
        if (this.guarded) event.preventDefault();
      },
      pagehide: () => navigator.sendBeacon(`${this.base}/leave`),
      // What was kept of the page has gone.
      pageshow: (event) => event.persisted && location.reload(),
    };
    for (const [name, listener] of Object.entries(this.listeners))
      window.addEventListener(name, listener);
  },
  unmounted() {
    for (const [name, listener] of Object.entries(this.listeners))
      window.removeEventListener(name, listener);
  },
  methods: {
    choose() {
      this.add([...this.$refs.file.files]);
      this.$refs.file.value = ""; // so that the same photo can be chosen again
    },
    async add(files) {
      for (const file of files) {
        if (file.size > this.maxBytes) this.$emit("refuse", { name: file.name, why: "size" });
        else this.waiting.push(file);
      }
      if (this.sending) return;
      this.sending = true;
      this.sent = 0;
      let trouble = "";
      while (this.waiting.length) trouble = (await this.send(this.waiting.shift())) || trouble;
      this.sending = false;
      this.message = trouble;
    },
    send(file) {
      this.sent += 1;
      const all = this.sent + this.waiting.length;
      const which = all > 1 ? `${this.sent} of ${all}: ` : "";
      this.message = `Taking ${which}${file.name}`;
      return new Promise((resolve) => {
        const request = new XMLHttpRequest();
        request.open("POST", `${this.base}/photos?name=${encodeURIComponent(file.name)}`);
        // The page shows what the server has refused; what never reached it is said here.
        request.onload = () => resolve(request.status === 404 ? this.lost(file) : "");
        request.onerror = () => resolve(this.lost(file));
        request.send(file);
      });
    },
    lost: (file) =>
      `${file.name} could not be sent; see that mmagic-inik app still runs, and load this page again.`,
  },
};
