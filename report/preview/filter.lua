-- What Quarto adds to Pandoc's Markdown: conditional content, callouts, numbers, references.
local typst = FORMAT == "typst"
local NAMES = { fig = "Figure", tbl = "Table", sec = "Section" }
local counts, numbers = { fig = 0, tbl = 0 }, {} -- numbers: of each label
local levels, top = {}, 9 -- the current section's number; the highest level of a heading
local profiles, numbered

local function problem(...) io.stderr:write("preview: ", table.concat { ... }, "\n") end
local function plain(inlines) return pandoc.Blocks { pandoc.Plain(inlines) } end
local function raw(text) return pandoc.Blocks { pandoc.RawBlock("typst", text) } end

local function number(label, value)
  if numbers[label] then problem("@", label, " names two things") end
  numbers[label] = value
end

local function conditional(el)
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
  if not kind then return conditional(div) end
  local title, first = div.attributes.title or kind:gsub("^%l", string.upper), div.content[1]
  if first and first.t == "Header" then title = div.content:remove(1).content end
  div.content:insert(1, pandoc.Div(pandoc.Para(pandoc.Strong(title)), { class = "title" }))
  return typst and raw("#callout[") .. div.content .. raw("]") or div
end

local function figure(div)
  local label, kind = div.identifier, div.identifier:match("^(%a+)%-")
  if typst and (div.classes[1] == "figure-data" or div.classes[1] == "column-margin") then
    return raw("#small[") .. div.content .. raw("]")
  elseif not counts[kind] then
    return nil
  end
  counts[kind] = counts[kind] + 1
  number(label, tostring(counts[kind]))
  local caption = pandoc.Inlines { pandoc.Strong(NAMES[kind] .. "\u{a0}" .. counts[kind] .. ":") }
  local last, alt = div.content[#div.content], div.attributes["fig-alt"] or ""
  if last and last.t == "Para" then
    caption = caption .. { pandoc.Space() } .. div.content:remove().content
  end
  if #div.content == 0 then problem("@", label, " shows nothing in ", FORMAT) end
  local content = div.content:walk {
    Figure = function(el) return el.content end,
    Image = function(el) if alt ~= "" then el.attributes.alt = alt end return el end,
  }
  if not typst then
    return pandoc.Figure(content, { long = plain(caption) }, { id = label, class = kind }), false
  end
  local before = '#figure(kind: "%s", supplement: none, alt: %q, [' -- Pandoc's would lose the alt
  return raw(before:format(kind, alt)) .. content .. raw("], caption: [") .. plain(caption)
    .. raw("]) <" .. label .. ">"), false
end

local function heading(el)
  local depth = el.level - top + 1
  el.level = typst and depth or depth + 1 -- a web page's title is its first heading
  if el.classes:includes("unnumbered") then return el end
  for level = 1, math.max(depth, #levels) do
    levels[level] = level <= depth and (levels[level] or 0) or nil
  end
  levels[depth] = levels[depth] + 1
  local text = table.concat(levels, ".")
  if el.identifier:match("^sec%-") then number(el.identifier, text) end
  if numbered then el.content = pandoc.Inlines { pandoc.Str(text .. "\u{2002}") } .. el.content end
  return el
end

local function reference(cite)
  local result = pandoc.Inlines {}
  for _, item in ipairs(cite.citations) do
    local label = item.id:gsub("^%u", string.lower)
    local name, text = NAMES[label:match("^(%a+)%-")], pandoc.Inlines(numbers[label] or "")
    if name and not numbers[label] then problem("@", label, " names nothing on this page") end
    if name and item.mode ~= "SuppressAuthor" then
      text = (item.prefix[1] and item.prefix or pandoc.Inlines(name)) .. { "\u{a0}" } .. text
    end
    if #result > 0 then result:extend { pandoc.Str(","), pandoc.Space() } end
    result:insert(name and pandoc.Link(text, "#" .. label) or pandoc.Cite({}, { item }))
  end
  return result
end

function Pandoc(doc)
  profiles = pandoc.List(doc.meta["preview-profiles"]):map(pandoc.utils.stringify)
  numbered = doc.meta["number-sections"]
  doc = doc:walk {
    Div = callout,
    Span = conditional,
    RawBlock = function(el) -- of HTML, paper can keep the tables
      if not typst or not el.format:match("^html") then return nil end
      return el.text:find("<table") and pandoc.read(el.text, "html").blocks or {}
    end,
    Link = function(el) el.target = el.target:gsub("^([^:#]+)%.qmd", "%1.html") return el end,
    Image = function(el)
      if el.src:match("^%a+://") then problem(el.src, " is not in the project") end
      if el.identifier ~= "" then problem("#", el.identifier, ": the preview numbers divs alone") end
    end,
  }
  doc.blocks:walk { Header = function(el) top = math.min(top, el.level) end }
  doc.blocks = doc.blocks:walk { traverse = "topdown", Div = figure, Header = heading }
  return doc:walk {
    Cite = reference,
    Table = function(el)
      if el.identifier ~= "" then problem("#", el.identifier, ": the preview numbers divs alone") end
      return not typst and pandoc.Div(el, { class = "table-responsive" }) or nil
    end,
  }
end
