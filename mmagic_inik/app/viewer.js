// One photo: original | restored under a divider, at any magnification, at any strength.
// Leaflet draws the tiles that are seen, so that 24 megapixels cost what a screen costs.
import { leaflet as L } from "nicegui-leaflet";

const TILE = 256;
const MOST_ZOOM = 4; // 16 screen pixels for one of the photo

// Tiles begin and end between pixels of the screen, or their edges would show as lines.
const Stage = L.Map.extend({
  _limitZoom(zoom) {
    const limited = L.Map.prototype._limitZoom.call(this, zoom);
    const level = Math.round(limited);
    return level + Math.log2(Math.floor(TILE * 2 ** (limited - level) + 1e-6) / TILE);
  },
});

export default {
  template: `
    <section class="viewer" :aria-label="'Comparison of ' + name">
      <div class="tools">
        <div class="group" role="group" aria-label="Magnification">
          <button type="button" @click="fit">Fit</button>
          <button type="button" @click="actual" aria-label="One to one: a pixel of the photo is a pixel of the screen">1:1</button>
          <button type="button" @click="step(-1)" aria-label="Smaller">−</button>
          <span class="percent">{{ percent }}</span>
          <button type="button" @click="step(1)" aria-label="Larger">+</button>
        </div>
        <div class="group strength">
          <label :for="id + 'strength'">Strength</label>
          <input :id="id + 'strength'" type="range" min="0" max="100" step="1"
            v-model.number="amount" @change="$emit('strength', amount)"
            :aria-valuetext="amount + ' percent'" />
          <span class="percent" aria-hidden="true">{{ amount }} %</span>
        </div>
        <button v-if="mappable" type="button" class="toggle" :aria-pressed="String(mapped)"
          @click="toggleMap">Kernel sizes</button>
        <a class="main-action" :href="base + '/file?strength=' + amount" target="downloads">Download</a>
      </div>
      <div class="stages" :class="{ mapped: mapped && sizes }">
        <div class="stage" ref="stage">
          <div ref="map" class="map" role="application" tabindex="0"
            aria-label="Photo, original at the left of the divider and restored at its right. Arrow keys move it, plus and minus magnify."></div>
          <span class="tag left" aria-hidden="true">Original</span>
          <span class="tag right" aria-hidden="true">Restored</span>
          <div class="divider" role="slider" tabindex="0" aria-label="Divider between original and restored"
            aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(share * 100)"
            :aria-valuetext="Math.round(share * 100) + ' percent original'"
            :style="{ left: share * 100 + '%' }" @keydown="key" @pointerdown="grab"
            @pointermove="drag" @pointerup="release"><span class="grip" aria-hidden="true"></span></div>
        </div>
        <figure v-show="mapped && sizes" class="stage sizes">
          <div ref="sizeMap" class="map" role="application" tabindex="0"
            aria-label="Map of expected kernel size. Arrow keys move it, plus and minus magnify."></div>
          <figcaption v-if="sizes">
            <span>{{ sizes[0].toFixed(1) }}</span>
            <span class="scale" :style="{ background: 'linear-gradient(90deg,' + colors.join() + ')' }"></span>
            <span>{{ sizes[1].toFixed(1) }} pixels</span>
            <span class="what">expected kernel size</span>
          </figcaption>
        </figure>
      </div>
      <p class="remark" role="status">{{ mapRemark }}</p>
    </section>`,
  props: {
    base: String,
    name: String,
    width: Number,
    height: Number,
    strength: Number,
    mappable: Boolean,
    sizes: Array,
    colors: Array,
    mapRemark: String,
  },
  emits: ["strength", "sizes"],
  data() {
    return { amount: this.strength, share: 0.5, mapped: false, zoom: 0, id: "v" + Math.random().toString(36).slice(2) };
  },
  computed: {
    percent() {
      const shown = 100 * 2 ** this.zoom * devicePixelRatio;
      return `${shown < 10 ? shown.toFixed(1) : Math.round(shown)} %`;
    },
  },
  watch: {
    amount: "paint",
    share: "clip",
    async sizes() {
      if (this.mapped) await this.showMap();
    },
  },
  mounted() {
    this.map = this.makeMap(this.$refs.map);
    for (const picture of ["before", "after"]) {
      this.map.createPane(picture).style.zIndex = picture === "after" ? 210 : 200;
      this.layer(picture, picture).addTo(this.map);
    }
    this.map.on("move zoom zoomend resize", () => {
      this.zoom = this.map.getZoom();
      this.$el.classList.toggle("magnified", this.zoom >= 1);
      this.clip();
    });
    this.observer = new ResizeObserver(() => this.adapt());
    this.observer.observe(this.$refs.stage);
    this.align(this.$refs.map);
    this.limit();
    this.fit();
    this.paint();
    this.clip();
  },
  beforeUnmount() {
    this.observer?.disconnect();
    this.sizeMap?.remove();
    this.map?.remove();
  },
  methods: {
    makeMap(place) {
      return new Stage(place, {
        crs: L.CRS.Simple,
        minZoom: -20,
        maxZoom: MOST_ZOOM,
        zoomSnap: 0,
        zoomDelta: 1,
        wheelPxPerZoomLevel: 120,
        zoomControl: false,
        attributionControl: false,
        keyboardPanDelta: 80,
        maxBounds: this.bounds().pad(0.5),
        fadeAnimation: false,
      }).setView(this.bounds().getCenter(), 0, { animate: false });
    },
    bounds() {
      return L.latLngBounds([-this.height, 0], [0, this.width]);
    },
    layer(picture, pane) {
      const deepest = Math.max(0, Math.ceil(Math.log2(Math.max(this.width, this.height) / TILE)));
      const tiles = L.tileLayer("", {
        tileSize: TILE,
        minZoom: -20,
        maxZoom: MOST_ZOOM,
        minNativeZoom: -deepest,
        maxNativeZoom: 0,
        bounds: this.bounds(),
        noWrap: true,
        pane,
        keepBuffer: 1,
        updateWhenIdle: false,
      });
      tiles.getTileUrl = ({ x, y, z }) => `${this.base}/${picture}/${-z}/${y}/${x}.png`;
      return tiles;
    },
    adapt() {
      // Another size of the window leaves a photo that was seen whole whole.
      const whole = Math.abs(this.map.getZoom() - this.map.getMinZoom()) < 1e-6;
      for (const each of [this.map, this.sizeMap]) {
        if (each) this.align(each.getContainer());
        each?.invalidateSize({ animate: false });
      }
      this.limit();
      if (whole) this.fit();
      this.clip();
    },
    align(place) {
      // On whole pixels of the screen, wherever the page puts it, or tiles would be blurred.
      // By its place: a browser rounds those before it translates.
      Object.assign(place.style, { left: 0, top: 0 });
      const { left, top } = place.getBoundingClientRect();
      const off = (at) => `${Math.round(at * devicePixelRatio) / devicePixelRatio - at}px`;
      Object.assign(place.style, { left: off(left), top: off(top) });
    },
    limit() {
      // The whole photo is the least that is shown; small photos are not enlarged for it.
      const { x, y } = this.map.getSize();
      const least = Math.log2(Math.min(x / this.width, y / this.height, 1));
      for (const each of [this.map, this.sizeMap]) each?.setMinZoom(least);
    },
    fit() {
      this.map.setView(this.bounds().getCenter(), this.map.getMinZoom(), { animate: false });
    },
    actual() {
      this.map.setZoom(-Math.log2(devicePixelRatio), { animate: false });
    },
    step(by) {
      this.map.setZoom(Math.round(this.map.getZoom() + by));
    },
    paint() {
      if (this.map) this.map.getPane("after").style.opacity = this.amount / 100;
    },
    clip() {
      if (!this.map) return;
      const { x: width, y: height } = this.map.getSize();
      const start = this.map.containerPointToLayerPoint([width * this.share, 0]);
      const end = this.map.containerPointToLayerPoint([width, height]);
      const corners = [
        [start.x, start.y],
        [end.x, start.y],
        [end.x, end.y],
        [start.x, end.y],
      ].map((corner) => corner.map((value) => `${value}px`).join(" "));
      this.map.getPane("after").style.clipPath = `polygon(${corners.join()})`;
    },
    key(event) {
      const steps = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.2, PageUp: 0.2, Home: -1, End: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.share = Math.min(1, Math.max(0, this.share + steps[event.key]));
    },
    grab(event) {
      event.target.setPointerCapture(event.pointerId);
      event.preventDefault();
      event.currentTarget.focus();
      this.grabbed = true;
    },
    drag(event) {
      if (!this.grabbed) return;
      const { left, width } = this.$refs.stage.getBoundingClientRect();
      this.share = Math.min(1, Math.max(0, (event.clientX - left) / width));
    },
    release() {
      this.grabbed = false;
    },
    async toggleMap() {
      this.mapped = !this.mapped;
      if (!this.mapped) return;
      if (this.sizes) await this.showMap();
      else this.$emit("sizes");
    },
    async showMap() {
      await this.$nextTick();
      if (!this.sizeMap) {
        this.sizeMap = this.makeMap(this.$refs.sizeMap);
        this.layer("sizes", "tilePane").addTo(this.sizeMap);
        const follow = (from, to) =>
          from.on("move", () => {
            if (this.following) return;
            this.following = true;
            to.setView(from.getCenter(), from.getZoom(), { animate: false });
            this.following = false;
          });
        follow(this.map, this.sizeMap);
        follow(this.sizeMap, this.map);
      }
      this.adapt();
      this.sizeMap.setView(this.map.getCenter(), this.map.getZoom(), { animate: false });
    },
  },
};
