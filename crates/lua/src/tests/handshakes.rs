//! Functions that run in a TLS handshake, and what requests see of it.

use plugin_api::Handshake;

use super::*;

/// Runs code in a handshake of a client that asks for `a.test`.
fn greet(code: &str) -> (Result<(), Error>, bool, bool) {
    let services = services(FakeRecords::default());
    let mut handshake = Handshake::new(Some("a.test"));
    handshake.peer = Some(([127, 0, 0, 1], 40_000).into());
    let settings = with_mode(LuaMode::On);
    let script = Script::new(code, &settings).expect(code);
    let ran = script.run_in_handshake(&mut Greeting {
        handshake: &mut handshake,
        services: &services,
        plugin: "pre-function",
        plugin_id: Uuid::from_u128(9),
    });
    (ran, handshake.asks_client, handshake.is_resumable)
}

#[test]
fn a_function_of_a_handshake_sees_the_name_and_the_client() {
    let code = "assert(require('ngx.ssl').server_name() == 'a.test')
        assert(kong.client.get_ip() == '127.0.0.1' and kong.client.get_port() == 40000)
        assert(ngx.get_phase() == 'certificate')
        kong.ctx.shared.seen = true
        kong.log.debug(kong.node.get_id(), kong.plugin.get_id(), ngx.now())";
    assert_eq!(greet(code), (Ok(()), false, true));
}

#[test]
fn a_function_of_a_handshake_asks_for_a_certificate_and_forbids_to_resume() {
    let asked = greet("return kong.client.tls.request_client_certificate()");
    assert_eq!(asked, (Ok(()), true, true));
    let once = greet("return kong.client.tls.disable_session_reuse()");
    assert_eq!(once, (Ok(()), false, false));
}

#[test]
fn a_function_ends_a_handshake_by_failing_or_with_an_exit_code_for_errors() {
    for code in ["error('no')", "ngx.exit(ngx.ERROR)", "ngx.exit(403)"] {
        assert!(greet(code).0.is_err(), "{code}");
    }
    assert_eq!(greet("ngx.exit(ngx.OK)").0, Ok(()));
}

#[test]
fn what_belongs_to_requests_is_not_for_handshakes_and_the_other_way_round() {
    for code in [
        "kong.request.get_path()",
        "kong.response.exit(403)",
        "kong.service.set_upstream('x')",
        "return ngx.var.host",
    ] {
        let error = greet(code).0.expect_err(code).to_string();
        let expected = "function cannot be called in certificate phase";
        assert!(error.contains(expected), "{code}: {error}");
    }
    for code in [
        "kong.client.tls.request_client_certificate()",
        "kong.client.tls.disable_session_reuse()",
    ] {
        check_fails(code, "function cannot be called in access phase");
    }
}

#[test]
fn the_certificates_that_a_client_showed_are_text() {
    check(
        "return kong.client.tls.get_full_client_certificate_chain() == nil",
        json!(true),
    );
    let shown = [vec![0_u8; 60], vec![1]];
    let mut sample = sample();
    sample.connection.tls = Some(plugin_api::Tls {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384",
        server_name: None,
        client_certificates: shown.to_vec().leak(),
    });
    let code = "return kong.client.tls.get_full_client_certificate_chain()";
    let chain = evaluate_with(&UntrustedLua::default(), code, &mut sample);
    let expected = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n{}\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n",
        "A".repeat(64),
        "A".repeat(16)
    );
    assert_eq!(chain, Ok(Some(json!(expected))));
}
