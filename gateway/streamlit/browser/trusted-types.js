// The page's policy for Trusted Types: markup passes (script in it does not run), script may only come from Streamlit's
// own files, and text becomes code only where the policy allows 'unsafe-eval'. Never throws: Streamlit would show an
// error in the element's place.
if (window.trustedTypes) {
  const home = new URL("./", document.baseURI);
  const own = ["static/js/", "_stcore/bidi-components/"].map((path) => new URL(path, home).href);
  trustedTypes.createPolicy("default", {
    createHTML: (text) => text,
    createScript: (text) => (GATEWAY.compiles ? text : ""),
    createScriptURL: (text) => {
      const address = new URL(text, document.baseURI).href;
      return address.startsWith("blob:") || GATEWAY.anyScript || own.some((path) => address.startsWith(path)) ? text : "";
    },
  });
}
