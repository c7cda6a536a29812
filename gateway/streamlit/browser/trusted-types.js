// The page's policy for Trusted Types. Markup passes: script in it does not run. The text of script elements does not,
// and their addresses only where Streamlit's own scripts are. What eval and Function are given passes on to
// Content-Security-Policy, which blocks it and reports it. Where the profile is only reported on, everything passes: a
// candidate changes nothing. Never throws: Streamlit would show an error in the element's place.
if (window.trustedTypes) {
  const home = new URL("./", document.baseURI);
  const own = ["static/js/", "_stcore/bidi-components/"].map((path) => new URL(path, home).href);
  const known = (address) => address.startsWith("blob:") || own.some((path) => address.startsWith(path));
  trustedTypes.createPolicy("default", {
    createHTML: (text) => text,
    createScript: (text, _, sink) => (!GATEWAY.enforced || sink === "eval" || sink === "Function" ? text : ""),
    createScriptURL: (text) => (!GATEWAY.enforced || known(new URL(text, document.baseURI).href) ? text : ""),
  });
}
