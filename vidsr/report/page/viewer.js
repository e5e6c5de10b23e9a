"use strict";
// One picture in two or more versions under one view: what is seen is told by `view` alone, and `draw` shows it.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const themeButton = byId("theme");
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  const shots = data.shots;
  if (!shots.length) return;

  const BLINK_MS = 700; // slower than three flashes a second, which may harm
  const STEPS = [1, 2, 4, 8];
  const viewer = byId("viewer"), stage = byId("stage"), divider = byId("divider");
  const view = { shot: 0, a: 0, b: 1, mode: "slider", zoom: "fit", x: 0.5, y: 0.5, split: 0.5, flipped: false, blinking: true };
  let pictures = [], panes = [], timer = 0, wanted = 0;

  const load = (src) => new Promise((done, failed) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => failed(new Error("a picture of this page cannot be decoded"));
    image.src = src;
  });

  // A version in full size: the whole picture, and over it the parts that are kept without loss.
  async function compose(shot, number, layer) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [shot.width, shot.height];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(await load(shot.layers[layer].src), 0, 0, shot.width, shot.height);
    for (const [index, crop] of shot.crops.entries()) {
      const image = byId(`crop-${number}-${index}-${layer}`);
      await image.decode();
      context.drawImage(image, crop.left, crop.top);
    }
    return canvas;
  }

  async function show(number) {
    view.shot = (number + shots.length) % shots.length;
    const mine = ++wanted, shot = shots[view.shot];
    const composed = await Promise.all(shot.layers.map((_, layer) => compose(shot, view.shot, layer)));
    if (mine !== wanted) return; // another one was asked for meanwhile
    pictures = composed;
    fillLayers(shot);
    for (const [index, button] of [...byId("shots").children].entries())
      button.setAttribute("aria-current", String(index === view.shot));
    build();
  }

  function fillLayers(shot) {
    for (const [id, key] of [["layer-a", "a"], ["layer-b", "b"]]) {
      view[key] = Math.min(view[key], shot.layers.length - 1);
      byId(id).replaceChildren(...shot.layers.map((layer, index) => new Option(layer.name, index, false, index === view[key])));
    }
  }

  // What each pane shows: one or two versions, the second one right of the divider.
  function contents() {
    const { a, b, mode } = view;
    if (pictures.length === 1) return [[0]];
    if (mode === "side") return pictures.map((_, index) => [index]);
    if (mode === "blink") return [[view.flipped ? b : a]];
    return [view.flipped ? [b, a] : [a, b]];
  }

  function build() {
    const count = contents().length;
    stage.classList.toggle("narrow", stage.clientWidth < 340 * count);
    if (panes.length !== count) {
      panes = Array.from({ length: count }, makePane);
      stage.replaceChildren(...panes.map((pane) => pane.element));
    }
    byId("divider-row").hidden = view.mode !== "slider" || pictures.length === 1;
    for (const button of viewer.querySelectorAll("[data-mode]"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === view.mode));
    clearInterval(timer);
    if (view.mode === "blink" && view.blinking)
      timer = setInterval(() => { view.flipped = !view.flipped; draw(); }, BLINK_MS);
    draw();
    tell();
  }

  function makePane() {
    const element = document.createElement("div"), canvas = document.createElement("canvas");
    const [left, right, bar] = ["tag left", "tag right", "bar"].map((name) => {
      const made = document.createElement("div");
      made.className = name;
      return made;
    });
    element.className = "pane";
    element.append(canvas, left, right, bar);
    return { element, canvas, left, right, bar };
  }

  // Device pixels of a pane for one pixel of the picture.
  function scaleOf(canvas) {
    const fit = Math.min(canvas.width / pictures[0].width, canvas.height / pictures[0].height);
    return view.zoom === "fit" ? fit : view.zoom;
  }

  function draw() {
    if (!pictures.length) return;
    for (const [index, layers] of contents().entries()) drawPane(panes[index], layers);
    for (const button of viewer.querySelectorAll("[data-zoom]"))
      button.setAttribute("aria-pressed", String(String(view.zoom) === button.dataset.zoom));
    divider.value = Math.round(view.split * 1000);
    divider.setAttribute("aria-valuetext", `${Math.round(view.split * 100)} %`);
  }

  function drawPane(pane, layers) {
    const { canvas, left, right, bar } = pane, ratio = devicePixelRatio || 1;
    const width = Math.round(pane.element.clientWidth * ratio), height = Math.round(pane.element.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d"), scale = scaleOf(canvas);
    const wide = pictures[0].width * scale, high = pictures[0].height * scale;
    const place = (all, shown, at) => Math.round(shown <= all ? (all - shown) / 2 : Math.min(0, Math.max(all - shown, all / 2 - at * shown)));
    const x = place(width, wide, view.x), y = place(height, high, view.y);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = scale < 1;
    context.imageSmoothingQuality = "high";
    const edge = layers.length > 1 ? Math.round(view.split * width) : width;
    const part = (layer, from, to) => {
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, height);
      context.clip();
      context.drawImage(pictures[layer], x, y, wide, high);
      context.restore();
    };
    part(layers[0], 0, edge);
    if (layers.length > 1) part(layers[1], edge, width);
    const names = layers.map((layer) => shots[view.shot].layers[layer].name);
    left.textContent = names[0];
    right.textContent = names[1] || "";
    right.hidden = bar.hidden = layers.length < 2;
    bar.style.left = `${view.split * 100}%`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${shots[view.shot].name}: ${names.join(" and ")}`);
  }

  function tell() {
    const shot = shots[view.shot], names = shot.layers.map((layer) => layer.name);
    const ways = { slider: `${names[view.a]} left, ${names[view.b]} right`, blink: `${names[view.a]} and ${names[view.b]} in turn`, side: "side by side" };
    const zoom = view.zoom === "fit" ? "all of it" : `${Number(view.zoom.toFixed(2))}:1`;
    byId("status").textContent = [shot.name, names.length > 1 ? ways[view.mode] : names[0], zoom, shot.note].filter(Boolean).join(" · ");
  }

  function setMode(mode) {
    Object.assign(view, { mode, flipped: false, blinking: true });
    build();
  }

  function setZoom(zoom) {
    view.zoom = zoom;
    draw();
    tell();
  }

  function stepZoom(direction) {
    const now = scaleOf(panes[0].canvas) * (direction > 0 ? 1.01 : 0.99);
    const fitting = direction > 0 ? STEPS.find((step) => step > now) : STEPS.findLast((step) => step < now);
    if (fitting) setZoom(fitting);
    else if (direction < 0) setZoom("fit");
  }

  function pan(dx, dy) { // in device pixels
    const { canvas } = panes[0], scale = scaleOf(canvas);
    const within = (at, all, shown) => (shown <= all ? 0.5 : Math.min(1 - all / shown / 2, Math.max(all / shown / 2, at)));
    const wide = pictures[0].width * scale, high = pictures[0].height * scale;
    view.x = within(view.x - dx / wide, canvas.width, wide);
    view.y = within(view.y - dy / high, canvas.height, high);
    draw();
  }

  function setSplit(share) {
    view.split = Math.min(1, Math.max(0, share));
    draw();
  }

  // Zoom so that what lies under the point stays there.
  function zoomAt(zoom, event) {
    const box = event.target.closest(".pane").getBoundingClientRect(), ratio = devicePixelRatio || 1;
    const before = scaleOf(panes[0].canvas), away = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    view.zoom = zoom;
    const change = (1 / before - 1 / scaleOf(panes[0].canvas)) * ratio;
    view.x += (away[0] * change) / pictures[0].width;
    view.y += (away[1] * change) / pictures[0].height;
    pan(0, 0);
    tell();
  }

  const keys = {
    "+": () => stepZoom(1), "=": () => stepZoom(1), "-": () => stepZoom(-1), 0: () => setZoom("fit"),
    s: () => setMode("slider"), b: () => setMode("blink"), d: () => setMode("side"),
    n: () => show(view.shot + 1), p: () => show(view.shot - 1),
    "[": () => setSplit(view.split - 0.02), "]": () => setSplit(view.split + 0.02),
    " ": () => { Object.assign(view, { flipped: !view.flipped, blinking: false }); build(); },
    ArrowLeft: () => across(1), ArrowRight: () => across(-1), ArrowUp: () => pan(0, 80), ArrowDown: () => pan(0, -80),
  };
  for (const step of STEPS) keys[step] = () => setZoom(step);
  function across(direction) {
    if (view.zoom === "fit" && view.mode === "slider") setSplit(view.split - direction * 0.02);
    else pan(direction * 80, 0);
  }

  viewer.addEventListener("keydown", (event) => {
    const typing = event.target !== stage && (event.key === " " || event.key.startsWith("Arrow") || event.target.tagName === "SELECT");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key] || !pictures.length) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of viewer.querySelectorAll("[data-mode]")) button.addEventListener("click", () => setMode(button.dataset.mode));
  for (const button of viewer.querySelectorAll("[data-zoom]"))
    button.addEventListener("click", () => setZoom(button.dataset.zoom === "fit" ? "fit" : Number(button.dataset.zoom)));
  divider.addEventListener("input", () => setSplit(divider.value / 1000));
  for (const [id, key] of [["layer-a", "a"], ["layer-b", "b"]])
    byId(id).addEventListener("change", (event) => { view[key] = Number(event.target.value); view.flipped = false; build(); });

  const pointers = new Map();
  let dragsBar = false;
  stage.addEventListener("pointerdown", (event) => {
    if (!pictures.length) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    const box = panes[0].element.getBoundingClientRect();
    dragsBar = !byId("divider-row").hidden && Math.abs(event.clientX - box.left - view.split * box.width) < 22;
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const ratio = devicePixelRatio || 1, box = panes[0].element.getBoundingClientRect();
    if (pointers.size === 2) pinch(event, before);
    else if (dragsBar) setSplit((event.clientX - box.left) / box.width);
    else pan((event.clientX - before.clientX) * ratio, (event.clientY - before.clientY) * ratio);
    pointers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => pointers.delete(event.pointerId));
  function pinch(event, before) {
    const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    const apart = (one) => Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    const { canvas } = panes[0], fit = Math.min(canvas.width / pictures[0].width, canvas.height / pictures[0].height);
    const scale = scaleOf(canvas) * (apart(event) / apart(before));
    setZoom(scale <= fit ? "fit" : Math.min(8, scale));
  }
  const inPane = (event) => pictures.length && event.target.closest && event.target.closest(".pane");
  stage.addEventListener("wheel", (event) => {
    if (!inPane(event)) return;
    event.preventDefault();
    const scale = scaleOf(panes[0].canvas);
    const next = event.deltaY < 0 ? STEPS.find((step) => step > scale * 1.01) : STEPS.findLast((step) => step < scale * 0.99);
    if (next || event.deltaY > 0) zoomAt(next || "fit", event);
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => inPane(event) && zoomAt(view.zoom === "fit" ? 2 : "fit", event));

  byId("shots").replaceChildren(...shots.map((shot, index) => {
    const button = document.createElement("button"), image = document.createElement("img");
    button.type = "button";
    image.src = shot.thumb;
    image.alt = "";
    button.append(image, shot.name);
    button.addEventListener("click", () => show(index));
    return button;
  }));
  for (const [number, shot] of shots.entries())
    for (const [index, crop] of shot.crops.entries())
      for (let layer = 0; layer < shot.layers.length; layer++)
        byId(`crop-${number}-${index}-${layer}`).addEventListener("click", async () => {
          await show(number);
          view.x = (crop.left + crop.width / 2) / shot.width;
          view.y = (crop.top + crop.height / 2) / shot.height;
          setZoom(4);
          pan(0, 0);
          viewer.scrollIntoView({ block: "start" });
        });
  viewer.hidden = false;
  new ResizeObserver(() => panes.length && build()).observe(viewer);
  show(0).catch((error) => { byId("status").textContent = error.message; });
  window.vidsr = { view }; // for scripts that drive the page
})();
