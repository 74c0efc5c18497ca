-- What code in configuration sees: the plain parts of the language, with nothing that reaches files, processes, foreign
-- functions, bytecode or the tables that other code relies on.

local native, mode, requires, environment = ...

local raw_pcall, raw_xpcall, raw_resume = pcall, xpcall, coroutine.resume
local error, getmetatable, ipairs, next, pairs, rawget = error, getmetatable, ipairs, next, pairs, rawget
local rawset, select, setmetatable, tostring, type = rawset, select, setmetatable, tostring, type

-- Strings have it as a method, whatever code sees of the library.
string.dump = nil

-- Ends a function that has answered the request. Neither this nor a limit that was reached can be caught.
local EXIT = setmetatable({}, { __tostring = function() return "the request was answered" end })

local function guarded(ok, ...)
  if not ok then
    local reason = ...
    if reason == EXIT or (type(reason) == "userdata" and reason ~= native.null) then
      error(reason, 0)
    end
  end
  return ok, ...
end

local function guarded_pcall(f, ...)
  return guarded(raw_pcall(f, ...))
end

local function guarded_xpcall(f, handler, ...)
  local function handle(reason)
    if reason == EXIT or type(reason) == "userdata" then
      return reason
    end
    return handler(reason)
  end
  return guarded(raw_xpcall(f, handle, ...))
end

local function guarded_resume(co, ...)
  return guarded(raw_resume(co, ...))
end

local function pick(from, names)
  local picked = {}
  for name in names:gmatch("%S+") do
    picked[name] = from[name]
  end
  return picked
end

local function protect(module, name)
  return setmetatable({}, {
    __index = module,
    __newindex = function(_, key)
      error("Can not modify " .. name .. "." .. tostring(key) .. ". Protected by the sandbox.", 2)
    end,
  })
end

local safe_coroutine = pick(coroutine, "create running status wrap yield")
safe_coroutine.resume = guarded_resume

local base = pick(_G, "_VERSION assert error ipairs next pairs select tonumber tostring type unpack")
base.pcall = guarded_pcall
base.xpcall = guarded_xpcall
base.coroutine = protect(safe_coroutine, "coroutine")
base.math = protect(pick(math, [[abs acos asin atan atan2 ceil cos cosh deg exp fmod floor frexp huge ldexp log log10
  max min modf pi pow rad random sin sinh sqrt tan tanh]]), "math")
base.os = protect(pick(os, "clock date difftime time"), "os")
base.string = protect(pick(string, [[byte char find format gmatch gsub len lower match rep reverse sub upper]]), "string")
base.table = protect(pick(table, "concat insert maxn remove sort"), "table")

-- Everything that there is: for `untrusted_lua = on`, and for what the settings let into the sandbox.
local everything = {}
for name, value in pairs(base) do
  everything[name] = value
end
for name, value in pairs(pick(_G, [[collectgarbage gcinfo getmetatable rawequal rawget rawset setmetatable newproxy
  bit]])) do
  everything[name] = value
end
everything.coroutine = safe_coroutine
everything.math = math
everything.os = pick(os, "clock date difftime time")
everything.string = pick(string, [[byte char find format gmatch gsub len lower match rep reverse sub upper]])
everything.table = table

everything.load = function(code, name, _, env)
  if type(code) == "function" then
    local parts = {}
    for part in code do
      if part == "" then
        break
      end
      parts[#parts + 1] = part
    end
    code = table.concat(parts)
  end
  return native.load(code, name or code, env or everything)
end
everything.loadstring = function(code, name)
  return native.load(code, name or code, everything)
end

local cjson = {
  null = native.null,
  _NAME = "cjson",
  empty_array = native.empty_array,
  empty_array_mt = native.empty_array_mt,
  array_mt = native.array_mt,
}
local safe_json = setmetatable({}, { __index = cjson })
safe_json.encode = function(value)
  local text, reason = native.json_encode(value)
  return text, reason
end
safe_json.decode = function(text)
  return native.json_decode(text)
end
local function or_error(value, reason)
  if reason then
    error(reason, 2)
  end
  return value
end
cjson.encode = function(value)
  return or_error(native.json_encode(value))
end
cjson.decode = function(text)
  return or_error(native.json_decode(text))
end

local modules = {
  bit = bit,
  cjson = cjson,
  ["cjson.safe"] = safe_json,
  string = everything.string,
  table = table,
  math = math,
  ["table.new"] = function()
    return {}
  end,
  ["table.clear"] = function(cleared)
    for key in next, cleared do
      cleared[key] = nil
    end
  end,
}

local function load_module(name)
  local module = modules[name]
  if module == nil then
    error("module '" .. tostring(name) .. "' is not available in Silverback", 3)
  end
  return module
end

everything.require = function(name)
  return load_module(name)
end

base.require = function(name)
  for _, allowed in ipairs(requires) do
    if allowed == name then
      return load_module(name)
    end
  end
  error("require '" .. tostring(name) .. "' not allowed within sandbox", 2)
end

-- Lets a variable of everything into the sandbox, under its own path.
local function link(path)
  local from, to = everything, base
  local names = {}
  for name in path:gmatch("[^.]+") do
    names[#names + 1] = name
  end
  for at, name in ipairs(names) do
    local found = type(from) == "table" and from[name]
    if found == nil or found == false then
      return false
    end
    if at == #names then
      to[name] = type(found) == "table" and setmetatable({}, { __index = found }) or found
    else
      local inner = rawget(to, name)
      if getmetatable(inner) or type(inner) ~= "table" then
        inner = setmetatable({}, { __index = inner })
        rawset(to, name, inner)
      end
      from, to = found, inner
    end
  end
  return true
end

local unknown = {}
local function link_environment()
  for _, path in ipairs(environment) do
    if not link(path) then
      unknown[#unknown + 1] = path
    end
  end
  return unknown
end

-- The globals of one function: its own, so that functions do not disturb each other.
local function new_environment(pdk)
  if mode == "on" then
    local env = setmetatable({}, { __index = function(_, name)
      local own = pdk[name]
      if own ~= nil then
        return own
      end
      return everything[name]
    end })
    return env
  end
  local env = {}
  for name, value in pairs(base) do
    env[name] = value
  end
  env._G = env
  return setmetatable(env, { __index = function(_, name)
    return pdk[name]
  end })
end

return {
  EXIT = EXIT,
  base = base,
  everything = everything,
  modules = modules,
  link_environment = link_environment,
  new_environment = new_environment,
  pcall = raw_pcall,
}
