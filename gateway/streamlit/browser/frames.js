// Gives a frame of embedded HTML the size of its content, as Streamlit does for HTML inside the page.
// Only frames of ours are listened to, only those that were made to be measured, and only for numbers.
addEventListener("message", ({ data, source }) => {
  if (data?.type !== "gateway:frame-size" || source === window) return;
  const frame = [...document.getElementsByTagName("iframe")].find((each) => each.contentWindow === source);
  if (!frame) return;
  const address = new URL(frame.src, document.baseURI);
  if (address.origin !== location.origin || !address.pathname.includes("/.gateway/frame/")) return;
  const asked = address.searchParams.get("size") ?? "";
  for (const side of ["width", "height"]) {
    const pixels = Math.ceil(data[side]);
    if (asked.includes(side[0]) && pixels >= 0 && pixels <= 100000) frame.style[side] = `${pixels}px`;
  }
});
