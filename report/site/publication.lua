-- A study that is not part of this publication has none of its authors, nor its licence. Quarto has
-- normalised them already, into lists of its own.
local NAMES = { "author", "authors", "by-author", "affiliations", "by-affiliation", "license" }

function Meta(meta)
  if meta.authorless then
    for _, name in ipairs(NAMES) do meta[name] = nil end
  end
  return meta
end
