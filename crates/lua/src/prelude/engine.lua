-- Joins the parts: runs prepared functions with the request of the moment at hand.

local native, mode, requires, environment, sandbox_source, kong_source, ngx_source = ...

local sandbox = sandbox_source(native, mode, requires, environment)

local host
-- What the running function may see of its exchange besides what the gateway is asked for.
local scene = {}

local function answer(ok, ...)
  if ok then
    return ...
  end
  error((...), 2)
end

local function call(...)
  if not host then
    error("there is no request at hand", 2)
  end
  return answer(host(...))
end

local pdk = {
  kong = kong_source(native, sandbox, call, scene),
  ngx = ngx_source(native, sandbox, call, scene),
}
sandbox.everything.kong = pdk.kong
sandbox.everything.ngx = pdk.ngx
local unknown = sandbox.link_environment()

local function new_environment()
  return sandbox.new_environment(pdk)
end

-- The globals of templates: parts of the request, read when they are first used.
local values
local template_environment = setmetatable({}, {
  __index = function(_, name)
    local known = values[name]
    if known ~= nil then
      return known
    end
    local value
    if name == "headers" then
      value = pdk.kong.request.get_headers()
    elseif name == "query_params" then
      value = pdk.kong.request.get_query()
    elseif name == "uri_captures" then
      value = call("request", "captures_or_empty")
    elseif name == "shared" then
      value = scene.shared
    elseif mode == "on" then
      return sandbox.everything[name]
    elseif name == "type" then
      return type
    elseif name == "require" then
      return sandbox.base.require
    else
      for _, path in ipairs(environment) do
        if path:match("^[^.]+") == name then
          return sandbox.base[name]
        end
      end
      return nil
    end
    values[name] = value
    return value
  end,
  __newindex = function()
    error("This environment is read-only.", 2)
  end,
})

-- Compat: a function that returns a function when it is first run has only set itself up; what it returned is run, then
-- and from then on.
local function prepare(f)
  local first = true
  return function()
    if not first then
      return f()
    end
    first = false
    local result = f()
    if type(result) == "function" then
      f = result
      return f()
    end
    return result
  end
end

local function run(with, f, phase, shared, plugin, ngx_ctx, template_values)
  host, values = with, template_values
  scene.phase, scene.shared, scene.plugin, scene.ngx = phase, shared, plugin, ngx_ctx
  local ok, result = sandbox.pcall(f, tostring)
  host, values = nil, nil
  scene.phase, scene.shared, scene.plugin, scene.ngx = nil, nil, nil, nil
  if ok then
    return true, result
  end
  if result == sandbox.EXIT then
    return true, nil
  end
  return false, tostring(result)
end

return run, prepare, new_environment, template_environment, unknown
