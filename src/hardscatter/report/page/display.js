"use strict";

// The event display: one crossing under one method's weights, in the plane of eta and phi or as a lego plot.
(async () => {
  if (!("DecompressionStream" in window)) {
    document.getElementById("display-missing").hidden = false;
    return;
  }
  const { events, kinds, classes, weightUnit, etaMax, jetRadius, jetPtMin } = JSON.parse(await unpacked("events"));
  const plotly = document.createElement("script");
  plotly.textContent = await unpacked("plotly");
  document.head.append(plotly);

  const [display, says, title, eventSelect, methodSelect] =
    ["display", "display-says", "display-title", "event", "method"].map((id) => document.getElementById(id));
  const TOWER = 0.2, N_ETA = Math.round((2 * etaMax) / TOWER), N_PHI = 32, TOWER_PHI = (2 * Math.PI) / N_PHI;
  const LOWEST = 0.2; // GeV: towers below it are left out
  const LABELLED = 12; // the hardest jets have their pt written beside them
  const FLAT = ["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"];
  const BUTTONS = { plane: FLAT, pair: FLAT, lego: ["toImage", "resetCameraDefault3d"] };
  const GAP = 0.02; // between the planes of a pair, as a share of the width
  const PI_TICKS = { tickvals: [-Math.PI, -Math.PI / 2, 0, Math.PI / 2, Math.PI], ticktext: ["−π", "−π/2", "0", "π/2", "π"] };
  const PT = "<i>p</i><sub>T</sub>";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const three = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

  // Candidates that still carry something, with what they carry.
  function weighted(event, view) {
    const { pt, eta, phi, kind, pdg, dz } = event.candidates;
    const all = pt.map((one, i) => {
      const weight = view.weights ? view.weights[i] / weightUnit : 1;
      return { pt: one, weight, carried: weight * one, eta: eta[i], phi: phi[i], kind: kind[i], pdg: pdg[i], dz: dz[i] };
    });
    return all.filter((one) => one.weight > 0);
  }

  function hover(one) {
    const vertex = one.dz === null ? "" : `<br>d<sub>z</sub> ${three(one.dz)} mm`;
    return `${classes[one.pdg]} (${kinds[one.kind]})<br>${PT} ${three(one.pt)} GeV, w ${three(one.weight)}` +
      `<br>w·${PT} ${three(one.carried)} GeV<br>η ${three(one.eta)}, φ ${three(one.phi)}${vertex}`;
  }

  // A circle in the plane, broken where it leaves it: at ±π it goes on at the other side.
  function ring(eta, phi, radius) {
    const x = [], y = [];
    let before = null;
    for (let step = 0; step <= 96; step++) {
      const angle = (2 * Math.PI * step) / 96;
      const turned = phi + radius * Math.sin(angle);
      const wrapped = turned - 2 * Math.PI * Math.floor((turned + Math.PI) / (2 * Math.PI));
      if (before !== null && Math.abs(wrapped - before) > Math.PI) { x.push(null); y.push(null); }
      const along = eta + radius * Math.cos(angle);
      x.push(Math.abs(along) > etaMax ? null : along);
      y.push(wrapped);
      before = wrapped;
    }
    return { x: [...x, null], y: [...y, null] };
  }

  function rings(jets, radius) {
    const all = jets.map(([, eta, phi]) => ring(eta, phi, radius));
    return { x: [...all.flatMap((one) => one.x), null], y: [...all.flatMap((one) => one.y), null] };
  }

  // What is seen in one plane; discs shrink with it, as circles do.
  function planeTraces(event, view, scale) {
    const candidates = weighted(event, view);
    const hoverlabel = { align: "left" };
    const discs = kinds.map((name, kind) => {
      const some = candidates.filter((one) => one.kind === kind);
      return {
        type: "scatter", mode: "markers", name, hovertemplate: "%{text}<extra></extra>", hoverlabel,
        x: [...some.map((one) => one.eta), null], y: [...some.map((one) => one.phi), null],
        text: some.map(hover),
        marker: {
          color: colour(`kind-${kind}`), opacity: 0.75, line: { width: 0 },
          size: [...some.map((one) => scale * Math.sqrt(Math.min(one.carried, 100))), 8], // area ∝ w·pt up to 100 GeV
        },
      };
    });
    const circles = (jets, radius, line, name) =>
      ({ type: "scatter", mode: "lines", name, line: { width: 1.6, ...line }, hoverinfo: "skip", ...rings(jets, radius) });
    const above = ([, , phi]) => phi + jetRadius < Math.PI - 0.2;
    const named = view.jets.slice(0, LABELLED);
    const traces = [...discs, circles(view.jets, jetRadius, { color: colour("jet") }, "jets")];
    traces.push({
      type: "scatter", mode: "text", hoverinfo: "skip", textfont: { size: 11, color: colour("jet") },
      x: named.map((jet) => jet[1]), y: named.map((jet) => jet[2] + (above(jet) ? 1 : -1) * (jetRadius + 0.02)),
      text: named.map((jet) => three(jet[0])), textposition: named.map((jet) => (above(jet) ? "top center" : "bottom center")),
    });
    const across = (phi, line, name) =>
      ({ type: "scatter", mode: "lines", name, x: [-etaMax, etaMax], y: [phi, phi], line, hoverinfo: "skip" });
    if (event.truth.jets) {
      traces.push(circles(event.truth.jets, 1.15 * jetRadius, { color: colour("truth"), dash: "5px,3px" }, "true jets"));
    }
    if (event.truth.leptons) {
      traces.push({
        type: "scatter", mode: "markers", name: "true leptons", hovertemplate: `${PT} %{text} GeV<extra></extra>`,
        x: [...event.truth.leptons.map((one) => one[1]), null], y: [...event.truth.leptons.map((one) => one[2]), null],
        text: event.truth.leptons.map((one) => three(one[0])),
        marker: { symbol: "diamond-open", size: Math.max(12, 8 * scale), color: colour("lepton"), line: { width: 1.8 } },
      });
    }
    traces.push(across(view.met[1], { color: colour("met"), width: 1.8, dash: "dashdot" }, "missing momentum"));
    if (event.truth.met) traces.push(across(event.truth.met[1], { color: colour("truth"), width: 1.4, dash: "dot" }, "true missing momentum"));
    return traces;
  }

  // Planes side by side that are zoomed together.
  function planes(event, views) {
    const share = (1 - GAP * (views.length - 1)) / views.length, width = share * (display.clientWidth - 60);
    const axis = {
      zeroline: false, gridcolor: colour("faint"), linecolor: colour("muted"), mirror: true, showline: true, ticks: "inside",
      constrain: "domain",
    };
    const traces = [], annotations = [], axes = {};
    views.forEach((view, place) => {
      const n = place ? place + 1 : "", x = `x${n}`, y = `y${n}`, left = place * (share + GAP);
      traces.push(...planeTraces(event, view, (width + 60) / 280).map((trace) => ({ ...trace, xaxis: x, yaxis: y })));
      axes[`xaxis${n}`] = {
        ...axis, tickvals: [-4, -2, 0, 2, 4], domain: [left, left + share], anchor: y,
        ...(place ? { matches: "x" } : { range: [-etaMax, etaMax] }),
      };
      axes[`yaxis${n}`] = {
        ...axis, scaleanchor: x, anchor: x, ...PI_TICKS,
        ...(place ? { matches: "y", showticklabels: false } : { range: [-Math.PI, Math.PI], title: { text: "φ", standoff: 2 } }),
      };
      const note = { xref: `${x} domain`, yref: `${y} domain`, showarrow: false };
      annotations.push({ ...note, text: "η", x: 1, y: 0, yshift: -6, xanchor: "right", yanchor: "top" });
      if (views.length > 1) annotations.push({ ...note, text: view.label, x: 0, y: 1, yshift: 2, xanchor: "left", yanchor: "bottom" });
    });
    return [traces, {
      height: Math.round(0.628 * width) + 68, margin: { l: 48, r: 12, t: 28, b: 40 }, annotations, ...axes,
      hovermode: "closest", dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    }];
  }

  // Σ w·pt in towers, kind by kind: an array of N_ETA × N_PHI for each.
  function towers(event, view) {
    const sums = kinds.map(() => new Float64Array(N_ETA * N_PHI));
    for (const one of weighted(event, view)) {
      const column = Math.floor((one.eta + etaMax) / TOWER);
      const row = Math.min(Math.max(Math.floor((one.phi + Math.PI) / TOWER_PHI), 0), N_PHI - 1);
      if (column >= 0 && column < N_ETA) sums[one.kind][column * N_PHI + row] += one.carried;
    }
    return sums;
  }

  // The twelve triangles of a box whose corners 0 to 3 go round its floor and 4 to 7 round its top.
  const FACES = [
    [0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
    [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
  ];

  // Bars of one kind, standing on `floor`, which they raise.
  function bars(heights, floor, name, kind) {
    const mesh = { x: [], y: [], z: [], i: [], j: [], k: [], text: [] };
    heights.forEach((height, tower) => {
      if (height < LOWEST) return;
      const eta = Math.floor(tower / N_PHI) * TOWER - etaMax, phi = (tower % N_PHI) * TOWER_PHI - Math.PI;
      const first = mesh.x.length, low = floor[tower], high = low + height;
      const text = `${name}<br>η ${three(eta + TOWER / 2)}, φ ${three(phi + TOWER_PHI / 2)}<br>Σ w·${PT} ${three(height)} GeV`;
      for (const z of [low, high]) {
        mesh.x.push(eta, eta + TOWER, eta + TOWER, eta);
        mesh.y.push(phi, phi, phi + TOWER_PHI, phi + TOWER_PHI);
        mesh.z.push(z, z, z, z);
        mesh.text.push(text, text, text, text);
      }
      for (const [a, b, c] of FACES) { mesh.i.push(first + a); mesh.j.push(first + b); mesh.k.push(first + c); }
      floor[tower] = high;
    });
    return {
      type: "mesh3d", name, ...mesh, color: colour(`kind-${kind}`), flatshading: true, hoverinfo: "text",
      lighting: { ambient: 0.85, diffuse: 0.45, specular: 0.05, roughness: 0.9 },
    };
  }

  function lego(event, view) {
    const all = towers(event, event.methods.none); // sets the height, whatever is left of it
    const top = Math.max(1, ...all[0].map((_, tower) => sum(all.map((some) => some[tower]))));
    const sums = towers(event, view), floor = new Float64Array(N_ETA * N_PHI);
    // The leading vertex at the bottom: what stands on it may vanish without moving it.
    const traces = [2, 1, 0].map((kind) => bars(sums[kind], floor, kinds[kind], kind)).filter((mesh) => mesh.x.length);
    const lifted = (jets, radius, line, name) => {
      const { x, y } = rings(jets, radius);
      const z = x.map(() => 1.02 * top);
      return { type: "scatter3d", mode: "lines", name, x, y, z, line: { width: 3, ...line }, hoverinfo: "skip" };
    };
    const named = view.jets.slice(0, LABELLED);
    traces.push(lifted(view.jets, jetRadius, { color: colour("jet") }, "jets"));
    traces.push({
      type: "scatter3d", mode: "text", hoverinfo: "skip", textfont: { size: 11, color: colour("jet") },
      x: named.map((jet) => jet[1]), y: named.map((jet) => jet[2]), z: named.map(() => 1.06 * top),
      text: named.map((jet) => three(jet[0])),
    });
    if (event.truth.jets) {
      traces.push(lifted(event.truth.jets, 1.15 * jetRadius, { color: colour("truth"), dash: "dash" }, "true jets"));
    }
    const [, phi] = view.met, away = display.clientWidth < 600 ? 1.3 : 1;
    traces.push({
      type: "scatter3d", mode: "lines", name: "missing momentum", x: [-etaMax, etaMax], y: [phi, phi], z: [0, 0],
      line: { color: colour("met"), width: 5 }, hoverinfo: "skip",
    });
    const axis = { gridcolor: colour("rule"), zeroline: false, nticks: 5, tickfont: { size: 11 }, showspikes: false, backgroundcolor: colour("paper") };
    return [traces, {
      height: Math.min(Math.round(0.7 * display.clientWidth) + 60, 620), margin: { l: 0, r: 0, t: 0, b: 0 },
      scene: {
        xaxis: { ...axis, range: [-etaMax, etaMax], title: { text: "η" } },
        yaxis: {
          ...axis, range: [-Math.PI, Math.PI], title: { text: "φ" },
          tickvals: PI_TICKS.tickvals.slice(1, 4), ticktext: PI_TICKS.ticktext.slice(1, 4), // those at the ends meet other axes'
        },
        zaxis: { ...axis, range: [0, 1.1 * top], title: { text: "Σ w·pT [GeV]" } },
        aspectratio: { x: 1.6, y: 1, z: 0.6 },
        camera: { eye: { x: -0.75 * away, y: -1.55 * away, z: 0.95 * away }, center: { x: 0, y: 0, z: -0.12 } },
        dragmode: "turntable",
      },
    }];
  }

  function describe(event, view) {
    const shown = weighted(event, view), heavy = shown.filter((one) => one.weight > 0.5);
    const truth = (text) => (text === undefined ? "" : ` (truth ${text})`);
    const carried = three(sum(shown.map((one) => one.carried)));
    return `${heavy.length} of ${event.candidates.pt.length} candidates have a weight above ½; Σ w·pT ${carried} GeV; ` +
      `${view.jets.length} jets above ${jetPtMin} GeV${truth(event.truth.jets?.length)}; ` +
      `missing momentum ${three(view.met[0])} GeV${truth(event.truth.met && `${three(event.truth.met[0])} GeV`)}.`;
  }

  const chosenView = () => document.querySelector("input[name=view]:checked").value;

  function draw() {
    const event = events[eventSelect.value], view = event.methods[methodSelect.value], how = chosenView();
    const [traces, layout] =
      how === "lego" ? lego(event, view) : planes(event, how === "pair" ? [event.methods.none, view] : [view]);
    title.textContent = `${event.title}: ${view.label}`;
    says.textContent = describe(event, view);
    display.setAttribute("aria-label", `Event display, ${title.textContent}`);
    return Plotly.react(display, traces, {
      ...layout, showlegend: false, uirevision: `${eventSelect.value} ${how}`, // zoom and camera outlast another method
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("ink") },
      hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("rule"), font: { color: colour("ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
    }, { displaylogo: false, modeBarButtons: [BUTTONS[how]] });
  }

  // The methods of the chosen crossing; the method stays if the crossing has it.
  function offerMethods() {
    const before = methodSelect.value, { methods, first } = events[eventSelect.value];
    methodSelect.replaceChildren(...Object.entries(methods).map(([name, { label }]) => new Option(label, name)));
    methodSelect.value = before in methods ? before : first;
  }

  // A phone has no room for a pair.
  const narrow = matchMedia("(max-width: 64rem)");
  function onePlane() {
    if (narrow.matches && chosenView() === "pair") document.querySelector("input[value=plane]").checked = true;
  }

  eventSelect.addEventListener("change", () => { offerMethods(); draw(); });
  methodSelect.addEventListener("change", draw);
  for (const radio of document.querySelectorAll("input[name=view]")) {
    radio.addEventListener("change", () => { Plotly.purge(display); draw(); });
  }
  addEventListener("resize", () => { onePlane(); draw(); });
  for (const query of ["print", "(prefers-color-scheme: dark)"]) matchMedia(query).addEventListener("change", draw);

  document.getElementById("controls").hidden = title.hidden = false;
  offerMethods();
  onePlane();
  draw();

  // The text of a script element that holds it compressed, in base64.
  async function unpacked(id) {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }
})();
