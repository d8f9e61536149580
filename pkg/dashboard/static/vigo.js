// Keeps a page fresh: one tab of the browser holds the stream of the service and tells the others. Without it every page reads the same.
"use strict";
(() => {
  const body = document.body, link = document.getElementById("link"), said = document.getElementById("said");
  const every = 15000, soon = 1000;
  let due = 0, timer = 0;
  const row = document.querySelector("header nav ul"), here = row && row.querySelector("[aria-current]");
  if (here) row.scrollLeft = Math.max(0, here.offsetLeft + here.offsetWidth / 2 - row.clientWidth / 2); // on a telephone it is wider than the window

  // make turns what the server has rendered into an element.
  const make = (html) => {
    const t = document.createElement("template");
    t.innerHTML = html.trim();
    return t.content.firstElementChild;
  };

  // swap puts an element in the place of an old one, and leaves focus, scrolling and opened details as they are.
  const swap = (old, next) => {
    if (!old || !next || old.outerHTML === next.outerHTML) return false;
    const active = document.activeElement, inside = old.contains(active) && active;
    const path = inside && [...old.querySelectorAll(inside.tagName)].indexOf(inside), href = inside && inside.getAttribute("href");
    const boxes = [...old.querySelectorAll(".box, .results, .diff")].map((b) => [b.scrollLeft, b.scrollTop]);
    old.replaceWith(next);
    next.querySelectorAll(".box, .results, .diff").forEach((b, i) => { if (boxes[i]) [b.scrollLeft, b.scrollTop] = boxes[i]; });
    if (inside) {
      const same = [...next.querySelectorAll(inside.tagName)];
      const found = href ? same.find((e) => e.getAttribute("href") === href) : same[path];
      if (found) found.focus({ preventScroll: true });
    }
    return true;
  };

  // reload asks for the page again and takes over what can have changed.
  const reload = async () => {
    clearTimeout(timer);
    timer = setTimeout(reload, every);
    if (document.hidden) return;
    due = Date.now() + soon;
    let answer;
    try { answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" }); } catch { return; }
    if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const e of document.querySelectorAll("[data-live], [data-part]")) swap(e, fresh.getElementById(e.id));
    const time = document.querySelector("footer time"), now = fresh.querySelector("footer time");
    if (time && now) time.replaceWith(now);
  };

  const show = (m) => {
    for (const [name, html] of Object.entries(m.parts || {})) swap(document.getElementById("part-" + name), make(html));
    const rows = Object.entries(m.rows || {}), names = new Set(rows.map(([name]) => name));
    for (const [name, row] of rows) {
      const next = make(row.html);
      if (swap(document.getElementById("node-" + name), next)) next.classList.add("fresh");
    }
    if (rows.length) said.textContent = rows.slice(0, 3).map(([, row]) => row.said).join("; ") + (rows.length > 3 ? "; and " + (rows.length - 3) + " more" : "");
    const mine = body.dataset.about ? names.has(body.dataset.about) : names.size > 0;
    if (mine || m.more || (m.rollouts && body.dataset.section === "rollouts")) {
      clearTimeout(timer);
      timer = setTimeout(reload, Math.max(0, due - Date.now()));
    }
  };

  const tell = (text) => { if (link.textContent !== text) link.textContent = text; };
  const others = "BroadcastChannel" in window ? new BroadcastChannel("vigo") : null;
  if (others) others.onmessage = (e) => e.data.state ? tell(e.data.state) : show(e.data);
  const state = (text) => { tell(text); if (others) others.postMessage({ state: text }); };

  // hold keeps the stream open for as long as this tab lives. One that breaks is opened again soon, and then less and less often: a
  // service that comes back is not met by all browsers at once.
  const hold = () => new Promise(() => {
    const first = 1000, last = 15000;
    let stream = null, opened = false, again = 0, wait = first;
    const open = () => {
      clearTimeout(again);
      stream = new EventSource("/ui/live");
      stream.onopen = () => { wait = first; state("Live."); if (opened) reload(); opened = true; };
      stream.addEventListener("fleet", (e) => { const m = JSON.parse(e.data); show(m); if (others) others.postMessage(m); });
      stream.onerror = () => {
        stream.close();
        state("Not connected; trying again.");
        again = setTimeout(open, wait * (0.75 + Math.random() / 2));
        wait = Math.min(2 * wait, last);
      };
    };
    addEventListener("online", () => { if (stream.readyState === EventSource.CLOSED) open(); });
    addEventListener("pagehide", () => { clearTimeout(again); stream.close(); });
    addEventListener("pageshow", (e) => { if (e.persisted) open(); });
    open();
  });
  if (navigator.locks) navigator.locks.request("vigo", hold); else hold();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) reload(); });
  timer = setTimeout(reload, every);
})();
