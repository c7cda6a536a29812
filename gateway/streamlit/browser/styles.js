// Gives the page's nonce to every style element that a script makes. Markup that only claims to be a style gets none.
{
  const nonce = document.currentScript.nonce;
  for (const name of ["createElement", "createElementNS"]) {
    const create = Document.prototype[name];
    Document.prototype[name] = function (...given) {
      const element = create.apply(this, given);
      if (element.localName === "style") element.nonce = nonce;
      return element;
    };
  }
}
