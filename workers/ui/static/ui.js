// Keeps the page that is open up to date: a stream says that something changed, the page is fetched again, and those of
// its regions that differ are replaced. All that is shown is made by the server, and escaped there.
"use strict";
(() => {
  const source = document.body.dataset.changes;
  if (!source || !window.EventSource) return;
  const sign = document.getElementById("live");
  let stream = null, busy = false, again = "";

  const say = (text, well) => {
    if (!sign || sign.textContent === text) return;
    sign.textContent = text;
    sign.className = well ? "live on" : "live off";
  };

  const refresh = async (address) => {
    if (busy) { again = again === location.href ? again : address; return; }
    busy = true;
    try {
      const answer = await fetch(address, { cache: "no-store", credentials: "same-origin", redirect: "error" });
      if (answer.status === 401) { close(); say("signed out", false); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      merge(new DOMParser().parseFromString(await answer.text(), "text/html"), address === location.href);
      say("live", true);
    } catch {
      say("not live", false);
    } finally {
      busy = false;
      const next = again;
      again = "";
      if (next) refresh(next);
    }
  };

  const merge = (next, whole) => {
    if (whole) document.title = next.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = next.getElementById(part.id);
      if (other && !held(part)) replace(part, other);
    }
  };

  // What somebody types into, or has selected, stays as it is.
  const held = (part) => {
    const focus = document.activeElement, picked = window.getSelection();
    if (focus && part.contains(focus) && focus.matches("input:not([type=checkbox]), select, textarea")) return true;
    if ([...part.querySelectorAll("textarea, input[placeholder]")].some((box) => box.value !== box.defaultValue)) return true;
    return Boolean(picked && !picked.isCollapsed && part.contains(picked.anchorNode));
  };

  const replace = (part, other) => {
    const keep = { open: new Map(), top: [] , focus: null };
    for (const box of part.querySelectorAll("details[data-key]")) keep.open.set(box.dataset.key, box.open);
    for (const box of other.querySelectorAll("details[data-key]")) {
      if (keep.open.has(box.dataset.key)) box.open = keep.open.get(box.dataset.key);
    }
    for (const box of part.querySelectorAll("input[type=checkbox]:checked")) {
      const twin = other.querySelector(`#${CSS.escape(box.id)}`);
      if (twin) twin.setAttribute("checked", "");
    }
    const before = part.cloneNode(true);
    for (const box of before.querySelectorAll("input[type=checkbox]")) box.removeAttribute("checked");
    for (const box of part.querySelectorAll("input[type=checkbox]:checked")) {
      before.querySelector(`#${CSS.escape(box.id)}`)?.setAttribute("checked", "");
    }
    if (before.innerHTML === other.innerHTML) return;
    const scrolled = [...part.querySelectorAll("pre, .scroll")].map((box) => ({
      top: box.scrollTop, left: box.scrollLeft, end: box.scrollTop + box.clientHeight >= box.scrollHeight - 8,
    }));
    const focus = part.contains(document.activeElement) ? path(part, document.activeElement) : null;
    part.replaceChildren(...document.adoptNode(other).childNodes);
    [...part.querySelectorAll("pre, .scroll")].forEach((box, place) => {
      const was = scrolled[place];
      if (!was) { if (box.matches(".stream")) box.scrollTop = box.scrollHeight; return; }
      box.scrollLeft = was.left;
      box.scrollTop = box.matches(".stream") && was.end ? box.scrollHeight : was.top;
    });
    if (focus) part.querySelector(focus)?.focus({ preventScroll: true });
  };

  const path = (part, element) => {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const href = element.getAttribute("href");
    if (href) return `a[href="${CSS.escape(href)}"]`;
    if (element.matches("summary")) return `details[data-key="${CSS.escape(element.parentElement.dataset.key || "")}"] > summary`;
    const places = [];
    for (let node = element; node !== part; node = node.parentElement) {
      places.unshift(`${node.localName}:nth-child(${[...node.parentElement.children].indexOf(node) + 1})`);
    }
    return `:scope > ${places.join(" > ")}`;
  };

  const close = () => { if (stream) stream.close(); stream = null; };
  const open = () => {
    if (stream) return;
    stream = new EventSource(source);
    stream.addEventListener("change", () => refresh(location.href));
    stream.addEventListener("text", () => { if (document.body.dataset.text) refresh(document.body.dataset.text); });
    stream.addEventListener("away", () => say("the database is away", false));
    stream.addEventListener("error", () => {
      say("not live", false);
      if (stream && stream.readyState === EventSource.CLOSED) { close(); setTimeout(open, 3000); }
    });
  };
  // A browser allows few connections to one server, and nobody sees a hidden page.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", () => { if (!document.hidden) open(); });
  for (const box of document.querySelectorAll(".stream")) box.scrollTop = box.scrollHeight;
  for (const box of document.querySelectorAll(".scroll")) if (box.querySelector(".lineage")) box.scrollLeft = box.scrollWidth;
  if (!document.hidden) open();
})();
