-- The functions of `string` that match patterns, over a matcher that can be ended: LuaJIT's own cannot. They take the
-- place of its own in the library itself, because strings have them as methods. LuaJIT keeps the patterns that it cannot
-- go astray with, such as the `_` of `gsub("_", "-")`: it has them done before another matcher could be asked.

local native = ...

local error, select, tonumber, tostring, type = error, select, tonumber, tostring, type
local concat = table.concat
local sub = string.sub
local native_find = native.find
local original = { find = string.find, match = string.match, gmatch = string.gmatch, gsub = string.gsub }

local MOST_SHORT = 32

local replaces = { string = true, table = true, ["function"] = true }

-- Whether a pattern takes a few steps at each place of a subject, whatever stands there: it is short, and nothing in it
-- repeats. Arguments that are wrong are not for LuaJIT either, which would not know what its function is called here.
local function is_simple(subject, pattern, number)
  return type(subject) == "string" and type(pattern) == "string" and (number == nil or type(number) == "number")
    and #pattern <= MOST_SHORT and not original.find(pattern, "[*+?-]") and not original.find(pattern, "%%[bf]")
end

local function bad(at, name, expected, value)
  local got = value == nil and "no value" or type(value)
  error("bad argument #" .. at .. " to '" .. name .. "' (" .. expected .. " expected, got " .. got .. ")", 4)
end

local function text_of(value, at, name)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  return bad(at, name, "string", value)
end

-- The place where a search begins, which may be told from the end.
local function place_of(value, subject, name)
  local place = value == nil and 1 or tonumber(value) or bad(3, name, "number", value)
  if place < 0 then
    place = place + #subject + 1
  end
  if place < 1 or place ~= place then
    return 1
  elseif place > #subject + 1 then
    return #subject + 1
  end
  return place - place % 1
end

-- What was found, or the error of a pattern that is none.
local function checked(from, to, ...)
  if from == nil and to ~= nil then
    error(to, 3)
  end
  return from, to, ...
end

local function captures(subject, from, to, ...)
  if from == nil then
    return nil
  elseif select("#", ...) == 0 then
    return sub(subject, from, to)
  end
  return ...
end

local function found(from, ...)
  if from == nil then
    return nil
  end
  return from, ...
end

function string.find(subject, pattern, init, plain)
  if is_simple(subject, pattern, init) then
    return original.find(subject, pattern, init, plain)
  end
  subject, pattern = text_of(subject, 1, "find"), text_of(pattern, 2, "find")
  local from = place_of(init, subject, "find")
  return found(checked(native_find(subject, pattern, from, plain and "plain" or "either")))
end

function string.match(subject, pattern, init)
  if is_simple(subject, pattern, init) then
    return original.match(subject, pattern, init)
  end
  subject, pattern = text_of(subject, 1, "match"), text_of(pattern, 2, "match")
  local from = place_of(init, subject, "match")
  return captures(subject, checked(native_find(subject, pattern, from, "anchored")))
end

function string.gmatch(subject, pattern)
  if is_simple(subject, pattern) then
    return original.gmatch(subject, pattern)
  end
  subject, pattern = text_of(subject, 1, "gmatch"), text_of(pattern, 2, "gmatch")
  local at = 1
  local function advance(from, to, ...)
    if from == nil then
      at = #subject + 2
      return nil
    end
    at = to < from and from + 1 or to + 1
    return captures(subject, from, to, ...)
  end
  return function()
    if at > #subject + 1 then
      return nil
    end
    return advance(checked(native_find(subject, pattern, at, "free")))
  end
end

string.gfind = nil

-- A replacement's text with `%0` to `%9` filled in.
local function fill(replacement, subject, from, to, ...)
  local parts, at = {}, 1
  while true do
    local mark = native_find(replacement, "%", at, "plain")
    if mark == nil then
      parts[#parts + 1] = sub(replacement, at)
      return concat(parts)
    end
    parts[#parts + 1] = sub(replacement, at, mark - 1)
    local name = sub(replacement, mark + 1, mark + 1)
    local number = tonumber(name)
    if number == nil then
      parts[#parts + 1] = name
    elseif number == 0 or (number == 1 and select("#", ...) == 0) then
      parts[#parts + 1] = sub(subject, from, to)
    elseif number > select("#", ...) then
      error("invalid capture index", 4)
    else
      parts[#parts + 1] = (select(number, ...))
    end
    at = mark + 2
  end
end

-- What comes in the place of a match.
local function replaced(replacement, kind, subject, from, to, ...)
  local value
  if kind == "text" then
    return replacement
  elseif kind == "template" then
    return fill(replacement, subject, from, to, ...)
  elseif kind == "function" then
    value = replacement(captures(subject, from, to, ...))
  else
    value = replacement[captures(subject, from, to, ...)]
  end
  if not value then
    return sub(subject, from, to)
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 3)
  end
  return value
end

function string.gsub(subject, pattern, replacement, most)
  if is_simple(subject, pattern, most) and replaces[type(replacement)] then
    return original.gsub(subject, pattern, replacement, most)
  end
  subject, pattern = text_of(subject, 1, "gsub"), text_of(pattern, 2, "gsub")
  local kind = type(replacement)
  if kind == "string" or kind == "number" then
    replacement = tostring(replacement)
    kind = native_find(replacement, "%", 1, "plain") and "template" or "text"
  elseif kind ~= "function" and kind ~= "table" then
    bad(3, "gsub", "string/function/table", replacement)
  end
  most = most == nil and #subject + 1 or tonumber(most) or bad(4, "gsub", "number", most)
  local once = sub(pattern, 1, 1) == "^"
  local parts, count, at = {}, 0, 1

  -- Takes over what is before a match, and puts the replacement after it.
  local function take(from, to, ...)
    if from == nil then
      return false
    end
    count = count + 1
    parts[#parts + 1] = sub(subject, at, from - 1)
    parts[#parts + 1] = replaced(replacement, kind, subject, from, to, ...)
    if to < from then
      parts[#parts + 1] = sub(subject, from, from)
      to = from
    end
    at = to + 1
    return not once and at <= #subject + 1
  end

  while count < most and take(checked(native_find(subject, pattern, at, "anchored"))) do
  end
  parts[#parts + 1] = sub(subject, at)
  return concat(parts), count
end
