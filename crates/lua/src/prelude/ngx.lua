-- `ngx`: the part of OpenResty's interface that functions in configuration use.

local native, sandbox, call, scene = ...

local ngx = {
  OK = 0, ERROR = -1, AGAIN = -2, DONE = -4, DECLINED = -5,
  null = native.null,
  STDERR = 0, EMERG = 1, ALERT = 2, CRIT = 3, ERR = 4, WARN = 5, NOTICE = 6, INFO = 7, DEBUG = 8,
  HTTP_GET = 2, HTTP_HEAD = 4, HTTP_POST = 8, HTTP_PUT = 16, HTTP_DELETE = 32, HTTP_OPTIONS = 512, HTTP_PATCH = 16384,
  HTTP_CONTINUE = 100, HTTP_SWITCHING_PROTOCOLS = 101, HTTP_OK = 200, HTTP_CREATED = 201, HTTP_ACCEPTED = 202,
  HTTP_NO_CONTENT = 204, HTTP_PARTIAL_CONTENT = 206, HTTP_SPECIAL_RESPONSE = 300, HTTP_MOVED_PERMANENTLY = 301,
  HTTP_MOVED_TEMPORARILY = 302, HTTP_SEE_OTHER = 303, HTTP_NOT_MODIFIED = 304, HTTP_TEMPORARY_REDIRECT = 307,
  HTTP_PERMANENT_REDIRECT = 308, HTTP_BAD_REQUEST = 400, HTTP_UNAUTHORIZED = 401, HTTP_PAYMENT_REQUIRED = 402,
  HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404, HTTP_NOT_ALLOWED = 405, HTTP_NOT_ACCEPTABLE = 406,
  HTTP_REQUEST_TIMEOUT = 408, HTTP_CONFLICT = 409, HTTP_GONE = 410, HTTP_UPGRADE_REQUIRED = 426,
  HTTP_TOO_MANY_REQUESTS = 429, HTTP_CLOSE = 444, HTTP_ILLEGAL = 451, HTTP_INTERNAL_SERVER_ERROR = 500,
  HTTP_METHOD_NOT_IMPLEMENTED = 501, HTTP_BAD_GATEWAY = 502, HTTP_SERVICE_UNAVAILABLE = 503,
  HTTP_GATEWAY_TIMEOUT = 504, HTTP_VERSION_NOT_SUPPORTED = 505, HTTP_INSUFFICIENT_STORAGE = 507,

  encode_base64 = native.encode_base64,
  decode_base64 = native.decode_base64,
  escape_uri = native.escape_uri,
  unescape_uri = native.unescape_uri,
  encode_args = native.encode_args,
  decode_args = native.decode_args,
  md5 = native.md5,
  md5_bin = native.md5_bin,
  sha1_bin = native.sha1_bin,
  hmac_sha1 = native.hmac_sha1,
  crc32_short = native.crc32,
  crc32_long = native.crc32,

  now = function() return call("clock") end,
  time = function() return math.floor(call("clock")) end,
  update_time = function() end,
  today = function() return os.date("!%Y-%m-%d", math.floor(call("clock"))) end,
  utctime = function() return os.date("!%Y-%m-%d %H:%M:%S", math.floor(call("clock"))) end,
  localtime = function() return os.date("%Y-%m-%d %H:%M:%S", math.floor(call("clock"))) end,
  http_time = function(seconds) return os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds) end,
  cookie_time = function(seconds) return os.date("!%a, %d-%b-%y %H:%M:%S GMT", seconds) end,

  get_phase = function() return scene.phase end,
  is_subrequest = false,
  config = { subsystem = "http", prefix = function() return call("node", "prefix") end },
  worker = {
    pid = function() return call("node", "pid") end,
    id = function() return 0 end,
    exiting = function() return false end,
  },
}

ngx.quote_sql_str = function(text)
  local marks = { ["\0"] = "\\0", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\26"] = "\\Z",
    ["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"' }
  return "'" .. tostring(text):gsub("[%z\b\n\r\t\26\\'\"]", marks) .. "'"
end

local levels = { [0] = "err", "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug" }
local function joined(...)
  local words = { ... }
  for at = 1, select("#", ...) do
    words[at] = tostring(words[at])
  end
  return table.concat(words)
end
ngx.log = function(level, ...)
  call("log", levels[level] or "notice", joined(...))
end

-- What is said without an exit is the answer when the function ends.
local function flattened(value, to)
  if type(value) == "table" then
    for _, part in ipairs(value) do
      flattened(part, to)
    end
  elseif value == native.null then
    to[#to + 1] = "null"
  else
    to[#to + 1] = tostring(value)
  end
end
ngx.print = function(...)
  local parts = {}
  for at = 1, select("#", ...) do
    flattened((select(at, ...)), parts)
  end
  call("say", table.concat(parts))
  return 1
end
ngx.say = function(...)
  local count = select("#", ...)
  local parts = {}
  for at = 1, count do
    flattened((select(at, ...)), parts)
  end
  call("say", table.concat(parts) .. "\n")
  return 1
end
ngx.exit = function(status)
  if type(status) ~= "number" then
    error("bad argument #1 to 'exit' (number expected, got " .. type(status) .. ")", 2)
  end
  if status >= 200 or (status == ngx.ERROR and scene.phase == "certificate") then
    call("ngx_exit", status)
  end
  error(sandbox.EXIT, 0)
end
ngx.redirect = function(location, status)
  status = status or 302
  if status ~= 301 and status ~= 302 and status ~= 303 and status ~= 307 and status ~= 308 then
    error("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, "
      .. "ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed", 2)
  end
  call("exit", status, nil, { Location = { tostring(location) } })
  error(sandbox.EXIT, 0)
end

local function values_of(value)
  if type(value) == "table" then
    local values = {}
    for at, one in ipairs(value) do
      values[at] = tostring(one)
    end
    return values
  end
  return { tostring(value) }
end

local case_blind = {
  __index = function(headers, name)
    if type(name) == "string" then
      return rawget(headers, (name:lower():gsub("_", "-")))
    end
  end,
}

ngx.header = setmetatable({}, {
  __index = function(_, name)
    return call("response.headers")[(tostring(name):lower():gsub("_", "-"))]
  end,
  __newindex = function(_, name, value)
    name = tostring(name):gsub("_", "-")
    if value == nil or (type(value) == "table" and next(value) == nil) then
      call("response.header", "clear", name, {})
    else
      call("response.header", "set", name, values_of(value))
    end
  end,
})

ngx.var = setmetatable({}, {
  __index = function(_, name) return call("var", tostring(name)) end,
  __newindex = function(_, name, value) call("set_var", tostring(name), value ~= nil and tostring(value) or nil) end,
})

ngx.arg = setmetatable({}, {
  __index = function(_, at)
    if at == 1 then
      return call("piece")
    elseif at == 2 then
      return call("last")
    end
  end,
  __newindex = function(_, at, value)
    if at == 1 then
      call("set_piece", value ~= nil and joined(value) or "")
    end
  end,
})

ngx.req = {
  get_method = function() return call("request", "method") end,
  get_headers = function(max) return setmetatable(call("request.headers", max), case_blind) end,
  get_uri_args = function(max) return call("request.query", max) end,
  get_body_data = function() return call("request.raw_body_or_nil") end,
  get_body_file = function() return nil end,
  get_post_args = function() return native.decode_args(call("request.raw_body") or "") end,
  read_body = function() end,
  http_version = function() return call("request", "version") end,
  start_time = function() return call("request", "start_time") / 1000 end,
  is_internal = function() return false end,
  set_method = function() error("ngx.req.set_method is not available in Silverback; use kong.service.request.set_method", 2) end,
  set_header = function(name, value)
    if value == nil then
      call("upstream.header", "clear", tostring(name), {})
    else
      call("upstream.header", "set", tostring(name), values_of(value))
    end
  end,
  clear_header = function(name) call("upstream.header", "clear", tostring(name), {}) end,
  set_uri_args = function(query)
    call("upstream.query", type(query) == "table" and native.encode_args(query) or tostring(query))
  end,
  set_body_data = function(body) call("upstream.body", body) end,
  set_uri = function(path, jump)
    if jump then
      error("ngx.req.set_uri with a jump is not available in Silverback", 2)
    end
    call("upstream.path", path)
  end,
}
setmetatable(ngx.req, { __index = function(_, name)
  error("ngx.req." .. tostring(name) .. " is not available in Silverback", 2)
end })

-- Regular expressions match in linear time, so that no subject can stall a worker; look-around and back-references are
-- refused by the compiler, which says so.
local function captures(groups)
  if not groups then
    return nil
  end
  local found = {}
  for name, value in pairs(groups.named) do
    found[name] = value
  end
  for at = 0, groups.count do
    found[at] = groups[at]
  end
  return found
end

local function position_of(context)
  return type(context) == "table" and type(context.pos) == "number" and context.pos or 1
end

ngx.re = {
  match = function(subject, pattern, options, context)
    local groups, reason = native.re_match(tostring(subject), pattern, options or "", position_of(context))
    if groups and type(context) == "table" then
      context.pos = groups.to + 1
    end
    return captures(groups), reason
  end,
  find = function(subject, pattern, options, context, nth)
    local groups, reason = native.re_match(tostring(subject), pattern, options or "", position_of(context))
    if not groups then
      return nil, nil, reason
    end
    if type(context) == "table" then
      context.pos = groups.to + 1
    end
    local place = groups.places[nth or 0]
    if not place then
      return nil
    end
    return place[1], place[2]
  end,
  gmatch = function(subject, pattern, options)
    subject = tostring(subject)
    local groups, reason = native.re_match(subject, pattern, options or "", 1)
    if reason then
      return nil, reason
    end
    return function()
      if not groups then
        return nil
      end
      local found = captures(groups)
      local from = groups.to < groups.from and groups.from + 1 or groups.to + 1
      groups = from <= #subject + 1 and native.re_match(subject, pattern, options or "", from) or nil
      return found
    end
  end,
}

local function filled(template, found)
  return (template:gsub("%$([%${]?)(%w*)(}?)", function(open, name, close)
    if open == "$" then
      return "$" .. name .. close
    end
    local key = tonumber(name) or name
    local value = found[key]
    return (value or "") .. (open == "{" and "" or close)
  end))
end

local function replaced(subject, pattern, replacement, options, most)
  subject = tostring(subject)
  local parts, from, count = {}, 1, 0
  while count < most and from <= #subject + 1 do
    local groups, reason = native.re_match(subject, pattern, options or "", from)
    if reason then
      return nil, nil, reason
    end
    if not groups then
      break
    end
    count = count + 1
    local found = captures(groups)
    parts[#parts + 1] = subject:sub(from, groups.from - 1)
    if type(replacement) == "function" then
      parts[#parts + 1] = tostring(replacement(found))
    else
      parts[#parts + 1] = filled(tostring(replacement), found)
    end
    if groups.to < groups.from then
      parts[#parts + 1] = subject:sub(groups.from, groups.from)
      from = groups.from + 1
    else
      from = groups.to + 1
    end
  end
  parts[#parts + 1] = subject:sub(from)
  return table.concat(parts), count
end
ngx.re.sub = function(subject, pattern, replacement, options)
  return replaced(subject, pattern, replacement, options, 1)
end
ngx.re.gsub = function(subject, pattern, replacement, options)
  return replaced(subject, pattern, replacement, options, math.huge)
end

sandbox.modules["ngx.ssl"] = { server_name = function() return call("tls.server_name") end }

local absent = {}
for name in ([[timer socket location shared thread semaphore sleep exec flush eof on_abort send_headers resp balancer ocsp
  ssl pipe process run_worker_thread errlog parse_http_time get_raw_phase]]):gmatch("%S+") do
  absent[name] = true
end

return setmetatable(ngx, {
  __index = function(_, name)
    if name == "ctx" then
      return scene.ngx
    elseif name == "status" then
      return call("response.status_or_zero")
    elseif name == "headers_sent" then
      return scene.phase == "body_filter" or scene.phase == "log"
    elseif absent[name] then
      error("ngx." .. name .. " is not available in Silverback", 2)
    end
  end,
  __newindex = function(_, name, value)
    if name == "status" then
      call("response.set_status", value)
    else
      error("ngx." .. tostring(name) .. " cannot be set", 2)
    end
  end,
})
