-- What Quarto adds to Pandoc's Markdown: conditional content, callouts, numbers, references.
local NAMES = { fig = "Figure", tbl = "Table", sec = "Section" }
local counts, numbers = { fig = 0, tbl = 0 }, {} -- numbers: of each label

local function conditional(el, profiles)
  local hides, holds = el.classes:includes("content-hidden"), true
  if not hides and not el.classes:includes("content-visible") then return nil end
  for key, value in pairs(el.attributes) do
    local word, what = key:match("^(%a+)-(%a+)$")
    local is = (what == "profile" and profiles or pandoc.List { FORMAT }):includes(value)
    if (word == "when" and not is) or (word == "unless" and is) then holds = false end
  end
  return holds ~= hides and el.content or {}
end

local function callout(div)
  local kind = table.concat(div.classes, " "):match("callout%-(%a+)")
  if not kind then return nil end
  local title, first = div.attributes.title or kind:gsub("^%l", string.upper), div.content[1]
  if first and first.t == "Header" then title = div.content:remove(1).content end
  div.content:insert(1, pandoc.Para(pandoc.Strong(title)))
  return pandoc.BlockQuote(div.content)
end

local function figure(div)
  local label, kind = div.identifier, div.identifier:match("^(%a+)%-")
  if not counts[kind] then return nil end
  counts[kind] = counts[kind] + 1
  numbers[label] = tostring(counts[kind])
  local caption = pandoc.Inlines { pandoc.Strong(NAMES[kind] .. "\u{a0}" .. numbers[label] .. ": ") }
  local last, alt = div.content[#div.content], div.attributes["fig-alt"] or ""
  if last and last.t == "Para" then caption = caption .. div.content:remove().content end
  if #div.content == 0 then io.stderr:write("@", label, " shows nothing in ", FORMAT, "\n") end
  local content = div.content:walk {
    Figure = function(el) return el.content end,
    Image = function(el) if alt ~= "" then el.attributes.alt = alt end return el end,
  }
  -- Pandoc leaves the alternative text out of Typst.
  local set_alt = "#set figure(alt: " .. (alt ~= "" and ("%q"):format(alt) or "none") .. ")"
  caption = { long = { pandoc.Plain(caption) } }
  local shown = pandoc.Figure(content, caption, { id = label, class = kind })
  return { pandoc.RawBlock("typst", set_alt), shown }
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
  local profiles = pandoc.List(doc.meta["preview-profiles"]):map(pandoc.utils.stringify)
  if FORMAT == "typst" then doc.meta.keywords = nil end -- Pandoc's template has no quotes for them
  doc = doc:walk {
    Div = function(el) return conditional(el, profiles) or callout(el) end,
    RawBlock = function(el) if FORMAT == "typst" and el.format == "html" then return {} end end,
    Link = function(el) el.target = el.target:gsub("^([^:#]+)%.qmd", "%1.html") return el end,
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
