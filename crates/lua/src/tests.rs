use plugin_api::testing::{FakeRecords, Sample, services};
use plugin_api::{Body, LuaMode, Reply, ResponseHead, UntrustedLua};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

mod handshakes;
mod log_entries;

fn with_mode(mode: LuaMode) -> UntrustedLua {
    UntrustedLua {
        mode,
        ..UntrustedLua::default()
    }
}

/// Runs code in `access`, for what it returns.
fn evaluate_with(
    settings: &UntrustedLua,
    code: &str,
    sample: &mut Sample,
) -> Result<Option<Value>, Error> {
    let services = services(FakeRecords::default());
    let mut exchange = sample.exchange();
    let mut scene = Scene {
        exchange: &mut exchange,
        services: &services,
        plugin: "pre-function",
        plugin_id: Uuid::from_u128(9),
        stage: Stage::Access,
    };
    Script::new(code, settings)?.evaluate(&mut scene)
}

fn sample() -> Sample {
    Sample::new(
        "GET",
        "/a%20b?x=1&y&x=2",
        &[("Host", "example.test"), ("X-One", "1"), ("X-One", "2")],
    )
}

fn evaluate(code: &str) -> Result<Option<Value>, Error> {
    evaluate_with(&UntrustedLua::default(), code, &mut sample())
}

#[track_caller]
fn check(code: &str, expected: Value) {
    assert_eq!(evaluate(code), Ok(Some(expected)), "{code}");
}

#[track_caller]
fn check_fails(code: &str, reason: &str) {
    let error = evaluate(code).expect_err(code).to_string();
    assert!(error.contains(reason), "{code}: {error}");
}

fn answer(code: &str) -> Option<Reply> {
    let services = services(FakeRecords::default());
    let mut sample = sample();
    let mut exchange = sample.exchange();
    let mut scene = Scene {
        exchange: &mut exchange,
        services: &services,
        plugin: "pre-function",
        plugin_id: Uuid::from_u128(9),
        stage: Stage::Access,
    };
    let script = Script::new(code, &UntrustedLua::default()).expect("a script");
    script.run(&mut scene).expect("a run")
}

#[test]
fn syntax_errors_read_like_those_of_loadstring() {
    assert_eq!(check_syntax("return 1"), Ok(()));
    for (code, error) in [
        (
            "if then",
            "[string \"if then\"]:1: unexpected symbol near 'then'",
        ),
        (
            "return function(",
            "[string \"return function(\"]:1: <name> or '...' expected near '<eof>'",
        ),
    ] {
        assert_eq!(check_syntax(code), Err(error.to_owned()));
    }
    assert!(check_syntax("\x1bLJ").is_err(), "bytecode is no text");
}

#[test]
fn a_function_that_never_ends_is_ended() {
    for code in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local co = coroutine.wrap(function() while true do end end) co()",
        "while true do xpcall(function() while true do end end, function() return 1 end) end",
    ] {
        check_fails(code, "too many instructions");
    }
    check("return 1", json!(1));
}

#[test]
fn a_function_whose_few_instructions_take_long_is_ended() {
    check_fails("while true do local s = ('x'):rep(1e6) end", "too long");
    let caught = "while true do pcall(string.rep, 'x', 1e6) end";
    check_fails(caught, "too long");
    check("return 1", json!(1));
}

#[test]
fn a_pattern_that_a_clients_text_makes_endless_ends_the_function() {
    let hostile = "a".repeat(100_000);
    for code in [
        "return kong.request.get_header('x-hostile'):find('a-a-a-a-b')",
        "return (kong.request.get_header('x-hostile'):match('.*.*.*='))",
        "return (kong.request.get_header('x-hostile'):gsub('.*.*.*=', ''))",
        "for part in kong.request.get_header('x-hostile'):gmatch('.*.*.*=') do return part end",
        "return pcall(string.find, kong.request.get_header('x-hostile'), '.*.*.*=')",
    ] {
        let mut sample = Sample::new("GET", "/", &[("X-Hostile", &hostile)]);
        let error = evaluate_with(&UntrustedLua::default(), code, &mut sample);
        let error = error.expect_err(code).to_string();
        assert!(
            error.contains("the function ran for too"),
            "{code}: {error}"
        );
    }
    check("return ('a,b'):match(',(.*)')", json!("b"));
}

#[test]
fn memory_is_bounded_and_the_machine_lives_on() {
    check_fails("local s = 'x' while true do s = s .. s end", "memory");
    check_fails("return ('x'):rep(1e9)", "memory");
    check_fails("local t = {} for i = 1, 1e9 do t[i] = { i } end", "memory");
    check("return #('x'):rep(1000)", json!(1000));
}

#[test]
fn the_sandbox_holds_back_what_could_do_harm() {
    for name in [
        "io",
        "debug",
        "package",
        "ffi",
        "jit",
        "load",
        "loadstring",
        "dofile",
        "loadfile",
        "rawset",
        "rawget",
        "setmetatable",
        "getmetatable",
        "collectgarbage",
        "setfenv",
        "getfenv",
        "module",
        "os.execute",
        "os.getenv",
        "os.remove",
        "os.exit",
        "string.dump",
        "math.randomseed",
        "newproxy",
    ] {
        check(&format!("return type({name})"), json!("nil"));
    }
    check_fails(
        "string.evil = 1",
        "Can not modify string.evil. Protected by the sandbox.",
    );
    check_fails(
        "return require('io')",
        "require 'io' not allowed within sandbox",
    );
    check("return ('x').dump == nil", json!(true));
    check("x = 1 return x", json!(1));
    assert_eq!(
        evaluate("return x"),
        Ok(None),
        "globals are a function's own"
    );
}

#[test]
fn without_the_sandbox_there_are_still_no_files_and_no_processes() {
    let on = with_mode(LuaMode::On);
    let run = |code: &str| evaluate_with(&on, code, &mut sample());
    assert_eq!(
        run("return type(setmetatable)"),
        Ok(Some(json!("function")))
    );
    assert_eq!(
        run("return require('cjson').encode({ 1 })"),
        Ok(Some(json!("[1]")))
    );
    assert_eq!(
        run("return loadstring('return 1 + 1')()"),
        Ok(Some(json!(2)))
    );
    assert_eq!(run("return type(io), 1"), Ok(Some(json!("nil"))));
    assert!(run("return require('io')").is_err());
    assert!(run("return os.execute('true')").is_err());
    let off = with_mode(LuaMode::Off);
    assert_eq!(
        evaluate_with(&off, "return 1", &mut sample()),
        Err(Error::Off)
    );
}

#[test]
fn the_settings_let_modules_and_variables_into_the_sandbox() {
    let settings = UntrustedLua {
        mode: LuaMode::Sandbox,
        requires: vec!["cjson.safe".into(), "resty.http".into()],
        environment: vec![
            "string.format".into(),
            "setmetatable".into(),
            "io.open".into(),
        ],
    };
    let run = |code: &str| evaluate_with(&settings, code, &mut sample());
    assert_eq!(
        run("return require('cjson.safe').decode('[1]')"),
        Ok(Some(json!([1])))
    );
    assert_eq!(
        run("return type(setmetatable)"),
        Ok(Some(json!("function")))
    );
    assert_eq!(run("return type(rawset)"), Ok(Some(json!("nil"))));
    assert_eq!(
        run("return string.format('%d', 1) .. string.upper('a')"),
        Ok(Some(json!("1A")))
    );
    let error = run("return require('resty.http')")
        .expect_err("no such module")
        .to_string();
    assert!(
        error.contains("module 'resty.http' is not available in Silverback"),
        "{error}"
    );
}

#[test]
fn the_request_is_there_to_read() {
    check(
        "local r = kong.request return { r.get_method(), r.get_path(), r.get_raw_path(), r.get_raw_query(), r.get_host() }",
        json!(["GET", "/a b", "/a%20b", "x=1&y&x=2", "example.test"]),
    );
    check(
        "return kong.request.get_query()",
        json!({ "x": ["1", "2"], "y": true }),
    );
    check("return kong.request.get_query_arg('x')", json!("1"));
    check(
        "return kong.request.get_headers()['X-One']",
        json!(["1", "2"]),
    );
    check("return kong.request.get_headers().x_one", json!(["1", "2"]));
    check("return kong.request.get_header('x-one')", json!("1"));
    check("return ngx.var.http_x_one", json!("1, 2"));
    check(
        "return ngx.var.arg_x .. ngx.var.request_uri",
        json!("1/a%20b?x=1&y&x=2"),
    );
    check("return kong.client.get_ip()", json!("127.0.0.1"));
    check("return kong.client.get_consumer() == nil", json!(true));
}

#[test]
fn what_is_missing_says_its_name() {
    for (code, name) in [
        (
            "ngx.timer.at(0, function() end)",
            "ngx.timer is not available",
        ),
        ("kong.cache:get('x')", "kong.cache.get is not available"),
        (
            "kong.service.set_retries(1)",
            "kong.service.set_retries is not available",
        ),
        ("return ngx.var.geoip", "ngx.var.geoip is not available"),
        ("ngx.req.socket()", "ngx.req.socket is not available"),
        (
            "kong.response.get_status()",
            "function cannot be called in access phase",
        ),
    ] {
        check_fails(code, name);
    }
}

#[test]
fn an_answer_ends_the_function_and_cannot_be_caught() {
    let reply = answer(
        "pcall(kong.response.exit, 403, { message = 'no' }, { ['X-A'] = { '1', '2' } }) error('not reached')",
    );
    let reply = reply.expect("an answer");
    assert_eq!(reply.status, 403);
    assert_eq!(reply.body, Body::Json(json!({ "message": "no" })));
    assert_eq!(reply.headers.len(), 2);
    let said = answer("ngx.say('a', 1) ngx.print({ 'b', { 'c' } }) return ngx.exit(202)")
        .expect("an answer");
    assert_eq!(
        (said.status, said.body),
        (202, Body::Bytes("a1\nbc".into()))
    );
    assert_eq!(answer("return 1"), None);
    let moved = answer("ngx.redirect('/x', 301)").expect("an answer");
    assert_eq!(moved.headers, [("Location".into(), b"/x".to_vec())]);
}

#[test]
fn the_request_is_changed_for_the_upstream() {
    let mut sample = sample();
    let code = "local s = kong.service.request s.set_header('X-A', 'one') s.add_header('X-A', 'two') \
                s.clear_header('X-One') s.set_path('/n w') s.set_query({ b = 'x y', a = { 1, true } }) \
                s.set_method('POST') s.set_raw_body('hello') kong.service.set_target('h.test', 81) \
                s.set_header('Host', 'other.test')";
    assert_eq!(
        evaluate_with(&UntrustedLua::default(), code, &mut sample),
        Ok(None)
    );
    let values: Vec<_> = sample.head.headers.get_all("X-A").collect();
    assert_eq!(values, [&b"one"[..], b"two"]);
    assert!(!sample.head.headers.contains("X-One"));
    assert_eq!(sample.target, b"/n%20w?a=1&a&b=x%20y");
    assert_eq!(sample.head.method().as_str(), "POST");
    assert_eq!(sample.work.body.as_deref(), Some(&b"hello"[..]));
    let upstream = &sample.work.upstream;
    assert_eq!(
        (upstream.host.as_deref(), upstream.port),
        (Some("h.test"), Some(81))
    );
    assert_eq!(upstream.host_header.as_deref(), Some("other.test"));
    let mut sample = self::sample();
    let _ = evaluate_with(
        &UntrustedLua::default(),
        "kong.service.set_target('h.test', 81)",
        &mut sample,
    );
    let host = sample.work.upstream.host_header.as_deref();
    assert_eq!(host, Some("h.test"), "a target brings its name along");
    check_fails(
        "kong.service.request.set_header('X-A', 'a\\r\\nX-B: 1')",
        "invalid header",
    );
    check_fails(
        "kong.service.request.set_header('X A', 'a')",
        "invalid header",
    );
}

#[test]
fn contexts_live_as_long_as_the_exchange() {
    let services = services(FakeRecords::default());
    let mut sample = sample();
    let mut exchange = sample.exchange();
    let mut run = |handler: usize, code: &str| {
        exchange.work.enter(handler);
        let mut scene = Scene {
            exchange: &mut exchange,
            services: &services,
            plugin: "pre-function",
            plugin_id: Uuid::from_u128(9),
            stage: Stage::Access,
        };
        Script::new(code, &UntrustedLua::default())
            .expect("a script")
            .evaluate(&mut scene)
    };
    let set = "kong.ctx.shared.a = 1 kong.ctx.plugin.b = 2 ngx.ctx.c = 3";
    let get = "return { a = kong.ctx.shared.a, b = kong.ctx.plugin.b, c = ngx.ctx.c }";
    assert_eq!(run(1, set), Ok(None));
    assert_eq!(run(1, get), Ok(Some(json!({ "a": 1, "b": 2, "c": 3 }))));
    assert_eq!(run(2, get), Ok(Some(json!({ "a": 1, "c": 3 }))));
    assert_eq!(
        evaluate(get),
        Ok(Some(json!({}))),
        "another exchange has its own"
    );
}

#[test]
fn a_function_that_returns_a_function_keeps_its_state() {
    let script = Script::new(
        "local n = 0 return function() n = n + 1 return n end",
        &UntrustedLua::default(),
    )
    .expect("a script");
    let services = services(FakeRecords::default());
    for count in 1..=3 {
        let mut sample = sample();
        let mut exchange = sample.exchange();
        let mut scene = Scene {
            exchange: &mut exchange,
            services: &services,
            plugin: "pre-function",
            plugin_id: Uuid::from_u128(9),
            stage: Stage::Access,
        };
        assert_eq!(script.evaluate(&mut scene), Ok(Some(json!(count))));
    }
}

#[test]
fn answers_are_changed_head_first_then_body() {
    let services = services(FakeRecords::default());
    let mut sample = sample();
    let mut head = ResponseHead::new(200, unframed());
    head.headers.append("X-Old", "1").expect("a header");
    let mut exchange = sample.exchange();
    see(&mut exchange, &head);
    let script = |code: &str| Script::new(code, &UntrustedLua::default()).expect("a script");
    let code = "kong.response.set_header('X-New', kong.response.get_header('x-old') .. ngx.status) ngx.status = 299 \
                ngx.header.x_old = nil";
    let mut scene = Scene {
        exchange: &mut exchange,
        services: &services,
        plugin: "pre-function",
        plugin_id: Uuid::from_u128(9),
        stage: Stage::HeaderFilter(&mut head),
    };
    script(code).run(&mut scene).expect("a run");
    assert_eq!(
        (head.status(), head.headers.get("X-New")),
        (299, Some(&b"1200"[..]))
    );
    assert!(!head.headers.contains("X-Old"));
    let upper = script(
        "local b = kong.response.get_raw_body() if b then kong.response.set_raw_body(b:upper()) end",
    );
    let mut out = Vec::new();
    for (piece, last) in [("ab", false), ("c", false), ("", true)] {
        let mut piece = bytes::Bytes::from_static(piece.as_bytes());
        let mut scene = Scene {
            exchange: &mut exchange,
            services: &services,
            plugin: "pre-function",
            plugin_id: Uuid::from_u128(9),
            stage: Stage::BodyFilter {
                piece: &mut piece,
                last,
            },
        };
        upper.run(&mut scene).expect("a run");
        out.push(piece);
    }
    assert_eq!(out, ["", "", "ABC"]);
}

/// A head that came with no framing of its own.
fn unframed() -> http1::Framing {
    http1::Framing::None
}

#[test]
fn expressions_match_replace_and_split() {
    check(
        "local m = ngx.re.match('a/bc/1', '/([a-z]+)/(?<n>[0-9])') return { m[0], m[1], m.n }",
        json!(["/bc/1", "bc", "1"]),
    );
    check(
        "local m = ngx.re.match('x', 'y') return m == nil",
        json!(true),
    );
    check(
        "return (ngx.re.gsub('a1b2', '([0-9])', '<$1>'))",
        json!("a<1>b<2>"),
    );
    check("return (ngx.re.gsub('abc', '', '-'))", json!("-a-b-c-"));
    check(
        "return (ngx.re.sub('hello', 'l', function(m) return m[0]:upper() end))",
        json!("heLlo"),
    );
    check(
        "local from, to = ngx.re.find('hello', 'L+', 'ijo') return { from, to }",
        json!([3, 4]),
    );
    check(
        "local t = {} for m in ngx.re.gmatch('a,b', '[a-z]') do t[#t + 1] = m[0] end return t",
        json!(["a", "b"]),
    );
    check(
        "local m, err = ngx.re.match('x', '(?=x)') return err ~= nil",
        json!(true),
    );
}

#[test]
fn encodings_are_those_of_nginx() {
    check("return ngx.encode_base64('h\\195\\169')", json!("aMOp"));
    check("return ngx.decode_base64('aGk=')", json!("hi"));
    check("return ngx.decode_base64('!') == nil", json!(true));
    check("return ngx.escape_uri('a b/?')", json!("a%20b%2F%3F"));
    check("return ngx.unescape_uri('a%20b+c')", json!("a b c"));
    check(
        "return ngx.md5('x')",
        json!("9dd4e461268c8034f5c8564e155c67a6"),
    );
    check(
        "return ngx.encode_base64(ngx.sha1_bin('x'))",
        json!("EfatjsUqKYSrqv18O1FlA3hcIHI="),
    );
    check("return ngx.crc32_short('hello')", json!(907_060_870));
    check(
        "return ngx.encode_args({ k = 'v w', a = true })",
        json!("a&k=v%20w"),
    );
}

#[test]
fn templates_fill_in_what_the_request_says() {
    let services = services(FakeRecords::default());
    let mut sample = sample();
    let mut exchange = sample.exchange();
    let mut scene = Scene {
        exchange: &mut exchange,
        services: &services,
        plugin: "request-transformer",
        plugin_id: Uuid::from_u128(9),
        stage: Stage::Access,
    };
    let mut values = Values::default();
    for (template, expected) in [
        ("plain", "plain"),
        ("a $ b $(", "a $ b $("),
        ("$(headers.host)!", "example.test!"),
        ("$(headers['x-one'])", "1"),
        ("$(query_params.x)/$(query_params.none)", "1/"),
        ("$(query_params.none or 'or')", "or"),
        ("$(headers.host:upper()):$((1 + 2) * 2)", "EXAMPLE.TEST:6"),
        ("$(uri_captures.none)", ""),
        ("$(type(headers))", "table"),
        ("$(\"quoted \\\" \\\\\")", "quoted \" \\"),
    ] {
        check_template(template).expect(template);
        let compiled = Template::compile(template, &UntrustedLua::default()).expect(template);
        let filled = compiled.fill(&mut scene, &mut values).expect(template);
        assert_eq!(String::from_utf8_lossy(&filled), expected, "{template}");
    }
    let failing =
        Template::compile("$(headers.host.x.y)", &UntrustedLua::default()).expect("a template");
    assert!(failing.fill(&mut scene, &mut values).is_err());
    let hidden =
        Template::compile("$(string.upper('a'))", &UntrustedLua::default()).expect("a template");
    assert!(
        hidden.fill(&mut scene, &mut values).is_err(),
        "templates see the request and little else"
    );
    assert!(check_template("$(if)").is_err());
    let off = with_mode(LuaMode::Off);
    assert!(Template::compile("plain", &off).is_ok());
    assert!(Template::compile("$(headers.host)", &off).is_err());
}
