// Scenes of volumes, drawn by niivue. Everything that is shown stands in the page (#data).
"use strict";

(async () => {
  const find = (id) => document.getElementById(id);
  const element = (name, properties) => Object.assign(document.createElement(name), properties);
  const page = JSON.parse(find("data").textContent);
  const { Niivue, NVImage } = niivue;

  const LEAST_SHOWN = 0.1; // smaller differences, as shares of the largest, are not coloured
  const FLOAT = 16; // NIfTI: voxels of 32 bits
  const UNDER = 1; // niivue: colours begin at 0, what lies under the least value is transparent
  const GRID = 2; // niivue: slices in two rows
  const NO_DRAG = 0; // niivue: dragging with the right button changes nothing

  const state = { scene: null, stop: 0, place: null };

  find("title").textContent = document.title = page.title;
  find("note").textContent = page.note;

  const fail = (message) => {
    find("failure").textContent = message;
    find("failure").hidden = false;
  };
  if (!document.createElement("canvas").getContext("webgl2")) {
    fail("This browser cannot draw the slices: it has no WebGL 2. Switch on hardware acceleration, or use another browser.");
    return;
  }

  // volumes, made when they are first shown

  const images = new Map();
  const imageOf = async (number) => {
    if (!images.has(number)) {
      const { nifti } = page.volumes[number];
      const image = await NVImage.loadFromBase64({ base64: nifti, name: `${number}.nii.gz`, colormap: "gray" });
      images.set(number, image);
    }
    return images.get(number);
  };

  const scaleOf = (number) => page.volumes[number].white / page.volumes[number].steps;

  // What a stop has more than its base, voxel by voxel; both lie on one grid.
  const differences = new Map();
  const differenceOf = async (stop, limit) => {
    const key = `${stop.volume}-${stop.base.volume}`;
    if (!differences.has(key)) {
      const [upper, lower] = [await imageOf(stop.volume), await imageOf(stop.base.volume)];
      const [a, b] = [scaleOf(stop.volume), scaleOf(stop.base.volume)];
      const image = upper.clone();
      image.img = Float32Array.from(upper.img, (value, k) => value * a - lower.img[k] * b);
      Object.assign(image.hdr, { datatypeCode: FLOAT, numBitsPerVoxel: 32, cal_min: LEAST_SHOWN * limit, cal_max: limit });
      Object.assign(image, { colormap: "more", colormapNegative: "less", colormapType: UNDER, opacity: 0.75, trustCalMinMax: true });
      image.calMinMax(); // of the header, as niivue takes it
      differences.set(key, image);
    }
    return differences.get(key);
  };

  // two pictures with one crosshair

  const views = {};
  for (const side of ["left", "right"]) {
    const viewer = new Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [1, 0.75, 0.2, 0.75], crosshairWidth: 0.6,
      crosshairWidthUnit: "mm", crosshairGap: 6, fontColor: [1, 0.9, 0.6, 1],
      multiplanarLayout: GRID, multiplanarShowRender: 0, tileMargin: 2, isNearestInterpolation: true,
      isRadiologicalConvention: false, sagittalNoseLeft: false, isOrientationTextVisible: true,
      isCornerOrientationText: false, showAllOrientationMarkers: true, fontMinPx: 12, isColorbar: false,
      dragAndDropEnabled: false, dragMode: NO_DRAG, loadingText: "", logLevel: "error",
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
    });
    const figure = find(side);
    await viewer.attachToCanvas(figure.querySelector("canvas"), false);
    viewer.addColormap("more", { R: [255, 255, 178], G: [214, 120, 10], B: [190, 70, 30], A: [0, 160, 255], I: [0, 96, 255] });
    viewer.addColormap("less", { R: [190, 80, 20], G: [220, 160, 70], B: [255, 255, 200], A: [0, 160, 255], I: [0, 96, 255] });
    views[side] = { viewer, figure, shown: null };
  }
  views.left.viewer.broadcastTo([views.right.viewer], { "2d": true, "3d": false });
  views.right.viewer.broadcastTo([views.left.viewer], { "2d": true, "3d": false });
  const each = (work) => Object.values(views).forEach(work);

  const put = async (view, number, overlay) => {
    const { viewer } = view;
    const image = await imageOf(number);
    viewer.volumes = overlay ? [image, overlay] : [image];
    viewer.setVolume(image, 0);
    view.shown = number;
    if (state.place) viewer.scene.crosshairPos = viewer.mm2frac(state.place);
    viewer.drawScene();
  };

  // Values as the study or the file has them, with three digits that count.
  const text = (value) => Number(value.toPrecision(3)).toString().replace("-", "−");
  const valueAt = (number) => {
    const image = images.get(number);
    const voxel = image.mm2vox(state.place);
    return image.getValue(...voxel) * scaleOf(number);
  };

  const describePlace = () => {
    const scene = page.scenes[state.scene];
    const stop = scene.stops[state.stop];
    if (![scene.reference, stop, stop.base].every((one) => !one || images.has(one.volume))) return; // not yet there
    const [x, y, z] = Array.from(state.place).slice(0, 3).map((v) => Math.round(v).toString().replace("-", "−"));
    const parts = [`Crosshair at x ${x}, y ${y}, z ${z} mm.`];
    if (scene.reference) parts.push(`${scene.reference.label}: ${text(valueAt(scene.reference.volume))}.`);
    parts.push(`${stop.label}: ${text(valueAt(stop.volume))}.`);
    if (find("difference").checked && stop.base) {
      parts.push(`Difference: ${text(valueAt(stop.volume) - valueAt(stop.base.volume))}.`);
    }
    find("place").textContent = parts.join(" ");
  };

  each(({ viewer }) => {
    viewer.onLocationChange = (location) => {
      if (state.scene === null) return;
      state.place = Array.from(location.mm).slice(0, 3);
      describePlace();
    };
  });

  // what is shown

  const show = async () => {
    const scene = page.scenes[state.scene];
    const stop = scene.stops[state.stop];
    const coloured = find("difference").checked && stop.base;
    const overlay = coloured ? await differenceOf(stop, scene.limit) : null;
    if (stop.base) await imageOf(stop.base.volume);
    if (scene.reference) await put(views.left, scene.reference.volume, null);
    await put(views.right, stop.volume, overlay);
    const captions = { left: scene.reference?.label ?? "", right: stop.label };
    if (coloured) captions.right += `; colours: minus ${stop.base.label}`;
    each(({ figure }) => {
      figure.querySelector("figcaption").textContent = captions[figure.id];
      figure.querySelector("canvas").setAttribute("aria-label", `Slices of: ${captions[figure.id]}`);
    });
    find("key").hidden = !coloured;
    const input = find("stop");
    input.value = state.stop;
    input.setAttribute("aria-valuetext", stop.label);
    describePlace();
  };

  // One change after another, however fast the slider moves; only the last one counts.
  let wanted = 0;
  let last = Promise.resolve();
  const refresh = () => {
    const mine = ++wanted;
    last = last.then(() => (mine === wanted ? show() : null)).catch((error) => fail(`The slices cannot be drawn: ${error.message}`));
    return last;
  };

  const goTo = (stop) => {
    const most = page.scenes[state.scene].stops.length - 1;
    state.stop = Math.min(Math.max(stop, 0), most);
    return refresh();
  };

  const makeControl = (scene) => {
    const holder = find("control-input");
    find("control").hidden = scene.stops.length < 2;
    find("control-label").textContent = scene.control;
    if (scene.slider) {
      const input = element("input", { type: "range", id: "stop", min: 0, max: scene.stops.length - 1, step: 1 });
      const ticks = element("span", { className: "ticks" });
      ticks.append(...scene.stops.map((stop) => element("span", { textContent: stop.tick })));
      ticks.setAttribute("aria-hidden", "true");
      input.addEventListener("input", () => goTo(Number(input.value)));
      holder.replaceChildren(input, ticks);
    } else {
      const input = element("select", { id: "stop" });
      input.append(...scene.stops.map((stop, k) => element("option", { value: k, textContent: stop.tick })));
      input.addEventListener("change", () => goTo(Number(input.value)));
      holder.replaceChildren(input);
    }
    holder.className = scene.slider ? "slider" : "";
  };

  const open = ({ number, stop }) => {
    const scene = page.scenes[number];
    Object.assign(state, { scene: number, stop: stop ?? scene.start });
    state.place ??= scene.centre;
    find(`scene-${number}`).checked = true;
    find("text").textContent = scene.text;
    makeControl(scene);
    find("pictures").classList.toggle("single", !scene.reference);
    const compared = scene.stops.some((stop) => stop.base);
    find("difference-label").hidden = !compared;
    if (compared) {
      find("key-low").textContent = text(-scene.limit);
      find("key-high").textContent = `+${text(scene.limit)}`;
    }
    return refresh();
  };

  // The address names a scene, and a stop of it after a colon: #scans:sub-0001
  const fromAddress = () => {
    const [key, name] = decodeURIComponent(location.hash.slice(1)).split(":");
    const number = Math.max(0, page.scenes.findIndex((scene) => scene.key === key));
    const stop = name ? page.scenes[number].stops.findIndex((one) => one.name === name) : -1;
    return { number, stop: stop < 0 ? null : stop };
  };

  page.scenes.forEach((scene, number) => {
    const label = element("label", {});
    const input = element("input", { type: "radio", name: "scene", id: `scene-${number}` });
    input.addEventListener("change", () => {
      history.replaceState(null, "", `#${page.scenes[number].key}`);
      open({ number, stop: null });
    });
    label.append(input, ` ${scene.title}`);
    find("scenes").append(label);
  });
  find("scenes").hidden = page.scenes.length < 2;
  addEventListener("hashchange", () => open(fromAddress()));

  // how it is drawn

  find("difference").addEventListener("change", refresh);
  find("planes").addEventListener("change", ({ target }) => {
    each(({ viewer }) => viewer.setSliceType(Number(target.value)));
  });
  find("smooth").addEventListener("change", ({ target }) => {
    each(({ viewer }) => viewer.setInterpolation(!target.checked));
  });
  document.querySelectorAll("[name=side]").forEach((input) => {
    input.addEventListener("change", () => {
      each(({ viewer }) => viewer.setRadiologicalConvention(input.value === "radiological"));
    });
  });

  const MOVES = {
    ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
    PageUp: [0, 0, 1], PageDown: [0, 0, -1],
  };
  const move = (viewer, [x, y, z]) => {
    const mirrored = viewer.opts.isRadiologicalConvention ? -1 : 1; // left and right as on the screen
    viewer.moveCrosshairInVox(x * mirrored, y, z);
  };
  each(({ viewer, figure }) => {
    figure.addEventListener("keydown", (event) => {
      if (!(event.key in MOVES) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation(); // before niivue's own keys
      move(viewer, MOVES[event.key]);
    }, true);
  });
  const KEYS = {
    "[": () => goTo(state.stop - 1),
    "]": () => goTo(state.stop + 1),
    d: () => { if (!find("difference-label").hidden) find("difference").click(); },
  };
  addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();
    KEYS[event.key]();
  }, true);

  await open(fromAddress());
  document.body.dataset.ready = "true";
})();
