// Inside a frame of embedded HTML: tells the page how large the content is, whenever that changes.
(() => {
  const root = document.documentElement;
  let width = 0, height = 0;
  const tell = () => {
    const body = document.body;
    if (!body) return;
    const w = Math.ceil(Math.max(root.scrollWidth, body.scrollWidth));
    // Not the root's scroll height: it is never less than that of the frame, which could then only grow.
    const h = Math.ceil(Math.max(root.getBoundingClientRect().height, body.scrollHeight, body.offsetHeight));
    if (w === width && h === height) return;
    [width, height] = [w, h];
    parent.postMessage({ type: "gateway:frame-size", width, height }, "*");
  };
  addEventListener("load", tell);
  addEventListener("resize", tell);
  document.addEventListener("load", tell, true);
  new ResizeObserver(tell).observe(root);
  new MutationObserver(tell).observe(root, { childList: true, subtree: true, attributes: true, characterData: true });
  tell();
})();
