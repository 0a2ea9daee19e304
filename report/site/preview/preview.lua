-- What Quarto adds to Pandoc's Markdown: numbers and references.
local NAMES = { fig = "Figure", tbl = "Table", sec = "Section" }
local counts, numbers = { fig = 0, tbl = 0 }, {} -- numbers: of each label

local function figure(div)
  local label, kind = div.identifier, div.identifier:match("^(%a+)%-")
  if not counts[kind] then return nil end
  counts[kind] = counts[kind] + 1
  numbers[label] = tostring(counts[kind])
  local name = NAMES[kind] .. "\u{a0}" .. numbers[label] .. ": "
  local caption = pandoc.Inlines { pandoc.Strong(name) }
  local last = div.content[#div.content]
  if last and last.t == "Para" then caption = caption .. div.content:remove().content end
  if #div.content == 0 then io.stderr:write("@", label, " shows nothing in ", FORMAT, "\n") end
  caption = { long = { pandoc.Plain(caption) } }
  return pandoc.Figure(div.content, caption, { id = label, class = kind })
end

local function reference(cite)
  local result = pandoc.Inlines {}
  for _, item in ipairs(cite.citations) do
    local label = item.id:gsub("^%u", string.lower)
    local name, text = NAMES[label:match("^(%a+)%-")], pandoc.Inlines(numbers[label] or "")
    if not name then return nil end
    if #text == 0 then io.stderr:write("@", label, " names nothing on this page\n") end
    local before = item.prefix[1] and item.prefix or pandoc.Inlines(name)
    if item.mode ~= "SuppressAuthor" then text = before .. { pandoc.Str("\u{a0}") } .. text end
    if result[1] then result:extend { pandoc.Str(","), pandoc.Space() } end
    result:insert(pandoc.Link(text, "#" .. label))
  end
  return result
end

function Pandoc(doc)
  if FORMAT == "typst" then doc.meta.keywords = nil end -- Pandoc's template has no quotes for them
  doc = doc:walk {
    RawBlock = function(el) if FORMAT == "typst" and el.format == "html" then return {} end end,
    Link = function(el)
      el.target = el.target:gsub("^([^:#]+)%.qmd", "%1.html"):gsub("^([^:#/]+)%.ipynb", "%1.html")
      return el
    end,
  }
  local sections = pandoc.structure.make_sections(doc.blocks, { number_sections = true })
  sections:walk { Div = function(el) numbers[el.identifier] = el.attributes.number end }
  doc.blocks = doc.blocks:walk { traverse = "topdown", Div = figure }
  return doc:walk {
    Cite = reference,
    Header = function(el)
      if not doc.meta["number-sections"] or not numbers[el.identifier] then return nil end
      el.content:insert(1, pandoc.Str(numbers[el.identifier] .. "\u{2002}"))
      return el
    end,
  }
end
