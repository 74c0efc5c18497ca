-- `kong`: the part of Kong's plugin development kit that functions in configuration use.
--
-- Whatever depends on the request is asked of `call`, which says it in one word and hands the rest to the gateway.

local native, sandbox, call, scene = ...

local function missing(path)
  return setmetatable({}, {
    __index = function(_, name)
      error(path .. "." .. tostring(name) .. " is not available in Silverback", 2)
    end,
    __call = function()
      error(path .. " is not available in Silverback", 2)
    end,
  })
end

local function not_here(path)
  return function()
    error(path .. " is not available in Silverback", 2)
  end
end

local function want_string(value, what)
  if type(value) ~= "string" then
    error(what .. " must be a string", 3)
  end
  return value
end

local function header_values(name, value)
  local kind = type(value)
  if kind == "string" then
    return { value }
  elseif kind == "number" or kind == "boolean" then
    return { tostring(value) }
  elseif kind == "table" then
    local values = {}
    for _, one in ipairs(value) do
      local of = type(one)
      if of ~= "string" and of ~= "number" and of ~= "boolean" then
        error(("invalid header value in array %q: got %s, expected string, number or boolean"):format(name, of), 3)
      end
      values[#values + 1] = tostring(one)
    end
    return values
  end
  error(("invalid header value for %q: got %s, expected array of string, string, number or boolean"):format(
    tostring(name), kind), 3)
end

local function header_name(name)
  if type(name) ~= "string" then
    error(("invalid header name %q: got %s, expected string"):format(tostring(name), type(name)), 3)
  end
  return name
end

local case_blind = {
  __index = function(headers, name)
    if type(name) == "string" then
      return rawget(headers, (name:lower():gsub("_", "-")))
    end
  end,
}

local function header_setters(side)
  local own = {}
  own.set_header = function(name, value)
    call(side .. ".header", "set", header_name(name), header_values(name, value))
  end
  own.add_header = function(name, value)
    call(side .. ".header", "add", header_name(name), header_values(name, value))
  end
  own.clear_header = function(name)
    call(side .. ".header", "clear", header_name(name), {})
  end
  own.set_headers = function(headers)
    if type(headers) ~= "table" then
      error("headers must be a table", 2)
    end
    local checked = {}
    for name, value in pairs(headers) do
      checked[header_name(name)] = header_values(name, value)
    end
    for name, values in pairs(checked) do
      call(side .. ".header", "set", name, values)
    end
  end
  return own
end

local kong = {
  version = "3.9.1",
  version_num = 3009001,
  pdk_major_version = 1,
  pdk_version = "1.0.0",
}

kong.request = {
  get_scheme = function() return call("request", "scheme") end,
  get_host = function() return call("request", "host") end,
  get_port = function() return call("request", "port") end,
  get_forwarded_scheme = function() return call("request", "forwarded_scheme") end,
  get_forwarded_host = function() return call("request", "forwarded_host") end,
  get_forwarded_port = function() return call("request", "forwarded_port") end,
  get_forwarded_path = function() return call("request", "forwarded_path") end,
  get_forwarded_prefix = function() return call("request", "forwarded_prefix") end,
  get_http_version = function() return call("request", "version") end,
  get_method = function() return call("request", "method") end,
  get_path = function() return call("request", "path") end,
  get_raw_path = function() return call("request", "raw_path") end,
  get_path_with_query = function() return call("request", "path_with_query") end,
  get_raw_query = function() return call("request", "raw_query") end,
  get_start_time = function() return call("request", "start_time") end,
  get_uri_captures = function() return call("request", "captures") end,
  get_raw_body = function() return call("request.raw_body") end,
  get_query_arg = function(name)
    local value = call("request.query")[want_string(name, "query argument name")]
    if type(value) == "table" then
      return value[1]
    end
    return value
  end,
  get_query = function(max)
    if max ~= nil and (type(max) ~= "number" or max < 1 or max > 1000) then
      error("max_args must be >= 1 and <= 1000", 2)
    end
    return call("request.query", max)
  end,
  get_header = function(name)
    return call("request.get_header", want_string(name, "header name"))
  end,
  get_headers = function(max)
    if max ~= nil and (type(max) ~= "number" or max < 1 or max > 1000) then
      error("max_headers must be >= 1 and <= 1000", 2)
    end
    return setmetatable(call("request.headers", max), case_blind)
  end,
  get_body = function(media_type)
    return call("request.body", media_type)
  end,
}

kong.service = {
  request = header_setters("upstream"),
  set_upstream = function(host)
    call("service.target", want_string(host, "host"), nil)
    return true
  end,
  set_target = function(host, port)
    want_string(host, "host")
    if type(port) ~= "number" or port % 1 ~= 0 or port < 0 or port > 65535 then
      error("port must be an integer between 0 and 65535: given " .. tostring(port), 2)
    end
    call("service.target", host, port)
  end,
}
for _, name in ipairs({ "set_retries", "set_timeouts", "set_tls_cert_key", "set_tls_verify", "set_tls_verify_depth",
  "set_tls_verify_store", "set_target_retry_callback" }) do
  kong.service[name] = not_here("kong.service." .. name)
end

local upstream = kong.service.request
upstream.set_scheme = function(scheme)
  want_string(scheme, "scheme")
  if scheme ~= "http" and scheme ~= "https" then
    error("invalid scheme: " .. scheme, 2)
  end
  call("upstream.scheme", scheme)
end
upstream.set_path = function(path)
  want_string(path, "path")
  if path:sub(1, 1) ~= "/" then
    error("path must start with /", 2)
  end
  call("upstream.path", path)
end
upstream.set_raw_query = function(query)
  call("upstream.query", want_string(query, "query"))
end
upstream.set_query = function(query)
  if type(query) ~= "table" then
    error("args must be a table", 2)
  end
  call("upstream.query", native.encode_args(query))
end
upstream.clear_query_arg = function(name)
  call("upstream.clear_query_arg", want_string(name, "query argument name"))
end
upstream.set_method = function(method)
  call("upstream.method", want_string(method, "method"))
end
upstream.set_raw_body = function(body)
  call("upstream.body", want_string(body, "body"))
end
upstream.set_body = function(arguments, media_type)
  if type(arguments) ~= "table" then
    error("args must be a table", 2)
  end
  media_type = media_type or kong.request.get_header("content-type") or "application/x-www-form-urlencoded"
  local essence = media_type:match("^%s*([^;%s]*)"):lower()
  if essence == "application/json" then
    local text, reason = native.json_encode(arguments)
    if not text then
      return nil, reason
    end
    call("upstream.body", text)
  elseif essence == "application/x-www-form-urlencoded" then
    call("upstream.body", native.encode_args(arguments))
  else
    error("unsupported content type " .. media_type .. " for kong.service.request.set_body in Silverback", 2)
  end
  call("upstream.header", "set", "Content-Type", { media_type })
  return true
end
upstream.enable_buffering = not_here("kong.service.request.enable_buffering")

kong.service.response = {
  get_status = function() return call("service.status") end,
  get_header = function(name)
    local value = call("response.headers")[want_string(name, "header name"):lower()]
    if type(value) == "table" then
      return value[1]
    end
    return value
  end,
  get_headers = function() return setmetatable(call("response.headers"), case_blind) end,
  get_raw_body = function() return call("response.body") end,
  get_body = not_here("kong.service.response.get_body"),
}

kong.response = header_setters("response")
kong.response.get_status = function() return call("response.status") end
kong.response.get_source = function() return call("response.source") end
kong.response.get_headers = function() return setmetatable(call("response.headers"), case_blind) end
kong.response.get_raw_body = function() return call("response.body") end
kong.response.get_header = function(name)
  local value = call("response.headers")[(want_string(name, "header name"):lower():gsub("_", "-"))]
  if type(value) == "table" then
    return value[1]
  end
  return value
end
kong.response.set_status = function(status)
  if type(status) ~= "number" then
    error("code must be a number", 2)
  elseif status < 100 or status > 599 then
    error("code must be a number between 100 and 599", 2)
  end
  call("response.set_status", status)
end
kong.response.set_raw_body = function(body)
  call("response.set_body", want_string(body, "body"))
end

local function checked_headers(headers)
  local checked = {}
  if headers ~= nil then
    if type(headers) ~= "table" then
      error("headers must be a nil or table", 3)
    end
    for name, value in pairs(headers) do
      checked[header_name(name)] = header_values(name, value)
    end
  end
  return checked
end

kong.response.exit = function(status, body, headers)
  if type(status) ~= "number" then
    error("code must be a number", 2)
  elseif status < 100 or status > 599 then
    error("code must be a number between 100 and 599", 2)
  elseif body ~= nil and type(body) ~= "string" and type(body) ~= "table" then
    error("body must be a nil, string or table", 2)
  end
  call("exit", status, body, checked_headers(headers))
  error(sandbox.EXIT, 0)
end
kong.response.error = function(status, message, headers)
  if type(status) ~= "number" then
    error("code must be a number", 2)
  elseif status < 400 or status > 599 then
    error("code must be a number between 400 and 599", 2)
  elseif message ~= nil and type(message) ~= "string" then
    error("message must be a nil or string", 2)
  end
  call("error", status, message, checked_headers(headers))
  error(sandbox.EXIT, 0)
end

kong.client = {
  get_ip = function() return call("client", "ip") end,
  get_forwarded_ip = function() return call("client", "forwarded_ip") end,
  get_port = function() return call("client", "port") end,
  get_forwarded_port = function() return call("client", "forwarded_port") end,
  get_consumer = function() return call("client", "consumer") end,
  get_credential = function() return call("client", "credential") end,
  get_consumer_group = function() return nil end,
  get_protocol = function(allow_terminated)
    return call("client", allow_terminated and "forwarded_protocol" or "protocol")
  end,
  authenticate = function(consumer, credential)
    if consumer == nil and credential == nil then
      error("either credential or consumer must be provided", 2)
    end
    call("client.authenticate", consumer, credential)
  end,
  load_consumer = not_here("kong.client.load_consumer"),
  tls = setmetatable({
    request_client_certificate = function(authorities)
      if authorities ~= nil then
        error("names of authorities are not available in Silverback", 2)
      end
      call("tls.ask_client")
      return true
    end,
    disable_session_reuse = function()
      call("tls.forget")
      return true
    end,
    get_full_client_certificate_chain = function() return call("tls.client_chain") end,
  }, getmetatable(missing("kong.client.tls"))),
}

kong.node = {
  get_id = function() return call("node", "id") end,
  get_hostname = function() return call("node", "hostname") end,
  get_memory_stats = not_here("kong.node.get_memory_stats"),
}
kong.router = {
  get_route = function() return call("router", "route") end,
  get_service = function() return call("router", "service") end,
}
kong.plugin = { get_id = function() return call("plugin.id") end }
kong.nginx = {
  get_subsystem = function() return "http" end,
  get_statistics = not_here("kong.nginx.get_statistics"),
}
kong.ip = {
  is_trusted = not_here("kong.ip.is_trusted"),
}
kong.table = {
  new = function() return {} end,
  clear = function(cleared)
    for key in next, cleared do
      cleared[key] = nil
    end
  end,
  merge = function(first, second)
    local merged = {}
    for key, value in pairs(first or {}) do
      merged[key] = value
    end
    for key, value in pairs(second or {}) do
      merged[key] = value
    end
    return merged
  end,
}

kong.ctx = setmetatable({}, {
  __index = function(_, name)
    if name == "shared" then
      return scene.shared
    elseif name == "plugin" then
      return scene.plugin
    end
  end,
  __newindex = function()
    error("kong.ctx is read-only; use kong.ctx.shared or kong.ctx.plugin", 2)
  end,
})

local function joined(...)
  local words = { ... }
  for at = 1, select("#", ...) do
    words[at] = tostring(words[at])
  end
  return table.concat(words)
end

local log = {
  set_serialize_value = function(key, value, options)
    want_string(key, "key")
    local mode = type(options) == "table" and options.mode or "set"
    if mode ~= "set" and mode ~= "add" and mode ~= "replace" then
      error("mode must be 'set', 'add' or 'replace'", 2)
    end
    call("log.value", key, value, mode)
  end,
  serialize = function() return call("log.entry") end,
  set_format = not_here("kong.log.set_format"),
  on = function() end,
  off = function() end,
  inspect = setmetatable({ on = function() end, off = function() end }, {
    __call = function(_, ...)
      local words = { ... }
      for at = 1, select("#", ...) do
        words[at] = native.json_encode(words[at]) or tostring(words[at])
      end
      call("log", "debug", table.concat(words, " "))
    end,
  }),
}
for _, level in ipairs({ "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug" }) do
  log[level] = function(...)
    call("log", level, joined(...))
  end
end
log.deprecation = function(...)
  call("log", "warn", joined((...)))
end
kong.log = setmetatable(log, {
  __call = function(_, ...)
    call("log", "notice", joined(...))
  end,
})

-- What Kong has and Silverback has not says so by its name.
local absent = {}
for name in ([[cache core_cache configuration db dns vault cluster cluster_events worker_events telemetry tracing timer
  rpc async]]):gmatch("%S+") do
  absent[name] = missing("kong." .. name)
end

return setmetatable(kong, { __index = absent })
