use plugin_api::testing::Sample;

use super::*;

#[tokio::test]
async fn a_client_gets_a_token_by_its_credentials() {
    let gate = Gate::new(json!({}));
    let (status, body) = gate
        .token(&format!(
            "grant_type=client_credentials&{CLIENT}&scope=email&state=x%20y"
        ))
        .await;
    assert_eq!(status, 200);
    let token = text(&body, "access_token");
    assert_eq!(token.len(), 32);
    let expected = json!({ "access_token": token, "token_type": "bearer", "expires_in": 7200, "state": "x y" });
    assert_eq!(body, expected);
    assert_eq!(gate.open(token).await, None);
}

#[tokio::test]
async fn nobody_may_keep_what_an_endpoint_answers() {
    let gate = Gate::new(json!({}));
    for form in ["", &format!("grant_type=client_credentials&{CLIENT}")] {
        let reply = gate
            .turn(&mut secure("/oauth2/token", form))
            .await
            .expect("an answer");
        let named = |name: &str| reply.headers.iter().any(|(given, _)| given == name);
        assert!(named("Cache-Control") && named("Pragma"));
    }
}

#[tokio::test]
async fn credentials_come_in_a_header_a_query_or_json_as_well() {
    let gate = Gate::new(json!({}));
    // "cid:csec"
    for (header, status) in [
        ("Basic Y2lkOmNzZWM=", 200),
        ("basic  Y2lkOmNzZWM=", 200),
        ("Basic Y2lkOm5v", 401),
        ("Basic *", 401),
        ("Bearer x", 401),
    ] {
        let mut sample = secure("/oauth2/token", "grant_type=client_credentials");
        sample
            .head
            .headers
            .set("Authorization", header)
            .expect("a header");
        let reply = gate.turn(&mut sample).await.expect("an answer");
        assert_eq!(reply.status, status, "{header}");
        let challenge = reply
            .headers
            .iter()
            .find(|(name, _)| name == "WWW-Authenticate");
        assert_eq!(challenge.is_some(), status == 401);
    }
    let query = format!("/oauth2/token/?grant_type=client_credentials&{CLIENT}");
    assert_eq!(gate.post(&query, "").await.0, 200);
    let body = br#"{"grant_type":"client_credentials","client_id":"cid","client_secret":"csec","state":7}"#;
    let mut sample = posted("/deep/oauth2/token", "application/json", body);
    sample.connection.tls = secure("/", "").connection.tls;
    let (status, body) = answered(gate.turn(&mut sample).await);
    assert_eq!((status, &body["state"]), (200, &json!(7)));
}

#[tokio::test]
async fn who_is_not_who_it_says_gets_nothing() {
    let gate = Gate::new(json!({}));
    let refused = error(400, "invalid_client", "Invalid client authentication");
    for claim in [
        "client_id=cid&client_secret=no",
        "client_id=cid",
        "client_id=ghost&client_secret=csec",
        "client_secret=csec",
        "client_id=cid&client_id=cid&client_secret=csec",
        "",
    ] {
        for grant in [
            "client_credentials",
            "password",
            "authorization_code",
            "refresh_token",
        ] {
            assert_eq!(
                gate.token(&format!("grant_type={grant}&{claim}")).await,
                refused,
                "{grant} {claim}"
            );
        }
    }
    let sent = "grant_type=password&client_id=phone&client_secret=x";
    let refused = error(
        400,
        "invalid_request",
        "client_secret is disallowed for public clients",
    );
    assert_eq!(gate.token(sent).await, refused);
}

#[tokio::test]
async fn a_confidential_client_without_a_secret_is_nobody() {
    let records = records().with(
        "oauth2_credentials",
        json!({ "id": "00000000-0000-0000-0000-0000000000a9", "client_id": "bare", "client_secret": null, "client_type": "confidential", "hash_secret": false, "consumer": { "id": BOB } }),
    );
    let gate = Gate::over(json!({}), records);
    for secret in ["", "&client_secret="] {
        let form = format!("grant_type=client_credentials&client_id=bare{secret}");
        assert_eq!(gate.token(&form).await.0, 400);
    }
}

#[tokio::test]
async fn a_hashed_secret_is_as_good_as_a_plain_one() {
    let stored = super::super::secret::hash("csec").expect("a hash");
    let records = records().with(
        "oauth2_credentials",
        json!({ "id": "00000000-0000-0000-0000-0000000000a9", "client_id": "hashed", "client_secret": stored, "client_type": "confidential", "hash_secret": true, "consumer": { "id": BOB } }),
    );
    let gate = Gate::over(json!({}), records);
    for (secret, status) in [("csec", 200), ("no", 400), (&*stored, 400)] {
        let form = format!("grant_type=client_credentials&client_id=hashed&client_secret={secret}");
        assert_eq!(gate.token(&form).await.0, status, "{secret}");
    }
}

#[tokio::test]
async fn only_grants_that_are_offered_are_given() {
    let none = json!({ "enable_client_credentials": false, "enable_password_grant": false });
    let gate = Gate::new(none);
    let refused = error(400, "unsupported_grant_type", "Invalid grant_type");
    for grant in ["client_credentials", "password", "magic", ""] {
        assert_eq!(
            gate.token(&format!("grant_type={grant}&{CLIENT}")).await,
            refused
        );
    }
    let gate =
        Gate::new(json!({ "enable_authorization_code": false, "enable_implicit_grant": false }));
    for kind in ["code", "token", "magic", ""] {
        let (status, body) = gate.authorize(&format!("response_type={kind}")).await;
        assert_eq!(status, 400);
        let uri = "https://app.test/back?error=unsupported_response_type&error_description=Invalid%20response_type";
        assert_eq!(text(&body, "redirect_uri"), uri);
    }
}

#[tokio::test]
async fn scopes_are_those_that_exist() {
    let gate = Gate::new(json!({}));
    let strict = gate.beside(json!({ "mandatory_scope": true }));
    let ask = format!("grant_type=client_credentials&{CLIENT}");
    for (scope, message) in [
        ("&scope=email%20root", "\"root\" is an invalid scope"),
        ("&scope=email&scope=phone", "scope must be a string"),
    ] {
        assert_eq!(
            gate.token(&format!("{ask}{scope}")).await,
            error(400, "invalid_scope", message)
        );
    }
    for scope in ["", "&scope=", "&scope=%20"] {
        assert_eq!(gate.token(&format!("{ask}{scope}")).await.0, 200);
        let refused = error(400, "invalid_scope", "You must specify a scope");
        assert_eq!(strict.token(&format!("{ask}{scope}")).await, refused);
    }
    let (_, body) = strict
        .token(&format!("{ask}&scope=phone+email%20phone"))
        .await;
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let mut sample = Sample::new("GET", "/a", &[("Authorization", &bearer)]);
    assert_eq!(strict.turn(&mut sample).await, None);
    let scope = sample.head.headers.get_str("X-Authenticated-Scope");
    assert_eq!(scope, Some("phone email"));
}

#[tokio::test]
async fn a_password_is_vouched_for_by_who_has_the_provision_key() {
    let gate = Gate::new(json!({}));
    let ask = format!("grant_type=password&{CLIENT}");
    for (more, name, message) in [
        (
            "&authenticated_userid=u",
            "invalid_provision_key",
            "Invalid provision_key",
        ),
        (
            "&authenticated_userid=u&provision_key=no",
            "invalid_provision_key",
            "Invalid provision_key",
        ),
        (
            "&provision_key=prov",
            "invalid_authenticated_userid",
            "Missing authenticated_userid parameter",
        ),
        (
            "&provision_key=prov&authenticated_userid=+",
            "invalid_authenticated_userid",
            "Missing authenticated_userid parameter",
        ),
    ] {
        assert_eq!(
            gate.token(&format!("{ask}{more}")).await,
            error(400, name, message)
        );
    }
    let (status, body) = gate
        .token(&format!(
            "{ask}&provision_key=prov&authenticated_userid=u-7"
        ))
        .await;
    assert_eq!(status, 200);
    assert_eq!(text(&body, "refresh_token").len(), 32);
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let mut sample = Sample::new("GET", "/a", &[("Authorization", &bearer)]);
    assert_eq!(gate.turn(&mut sample).await, None);
    let user = sample.head.headers.get_str("X-Authenticated-UserId");
    assert_eq!(user, Some("u-7"));
    let named = format!("grant_type=client_credentials&{CLIENT}&authenticated_userid=u");
    assert_eq!(
        gate.token(&named).await,
        error(400, "invalid_provision_key", "Invalid provision_key")
    );
    assert_eq!(
        gate.token(&format!("{named}&provision_key=prov")).await.0,
        200
    );
}

#[tokio::test]
async fn a_code_is_exchanged_for_a_token() {
    let gate = Gate::new(json!({}));
    let code = gate.code("scope=email&state=s%26t").await;
    let (status, body) = gate
        .token(&format!(
            "grant_type=authorization_code&{CLIENT}&code={code}&state=z"
        ))
        .await;
    assert_eq!((status, &body["state"]), (200, &json!("z")));
    assert_eq!(gate.open(text(&body, "access_token")).await, None);
    assert!(body["refresh_token"].is_string());
}

#[tokio::test]
async fn an_implicit_token_is_sent_back_in_the_fragment() {
    let gate = Gate::new(json!({ "token_expiration": 60 }));
    let (status, body) = gate
        .authorize("response_type=token&state=a%23b%20%C3%A9")
        .await;
    assert_eq!(status, 200);
    let uri = text(&body, "redirect_uri");
    let token = uri.split(['=', '&']).nth(1).expect("a token");
    let expected = format!(
        "{CALLBACK}#access_token={token}&expires_in=60&state=a%23b%20%C3%A9&token_type=bearer"
    );
    assert_eq!(uri, expected);
    assert_eq!(gate.open(token).await, None);
}

#[tokio::test]
async fn the_login_page_is_told_what_the_client_must_not_be_sent() {
    let gate = Gate::new(json!({}));
    let ask = "client_id=cid&response_type=code&authenticated_userid=u&state=s";
    let (status, body) = gate.post("/oauth2/authorize", ask).await;
    assert_eq!(
        (status, &body["error"], &body["state"]),
        (400, &json!("invalid_provision_key"), &json!("s"))
    );
    let (_, body) = gate
        .post(
            "/oauth2/authorize",
            "provision_key=prov&client_id=cid&response_type=code",
        )
        .await;
    assert_eq!(body["error"], "invalid_authenticated_userid");
    let refused = error(400, "invalid_client", "Invalid client authentication");
    assert_eq!(
        gate.authorize("client_id=ghost&response_type=code").await,
        refused
    );
}

#[tokio::test]
async fn an_address_counts_only_if_the_application_has_it_letter_by_letter() {
    let gate = Gate::new(json!({}));
    let other = gate
        .authorize("response_type=code&redirect_uri=https%3A%2F%2Fapp.test%2Fother%3Fx%3D1")
        .await;
    let uri = text(&other.1, "redirect_uri");
    assert!(uri.starts_with("https://app.test/other?x=1&code="), "{uri}");
    for wrong in [
        "https://app.test/back/",
        "https://app.test/Back",
        "https://app.test/bac",
        "https://app.test/back?",
        "https://evil.test/",
        "",
    ] {
        let (status, body) = gate
            .authorize(&format!("response_type=code&redirect_uri={wrong}"))
            .await;
        assert_eq!(status, 400, "{wrong}");
        let uri = text(&body, "redirect_uri");
        assert!(
            uri.starts_with("https://app.test/back?error=invalid_request&"),
            "{uri}"
        );
        let form = format!("grant_type=authorization_code&{CLIENT}&redirect_uri={wrong}");
        assert_eq!(gate.token(&form).await.1["error"], "invalid_request");
    }
}

#[tokio::test]
async fn a_proof_key_belongs_to_a_code() {
    let gate = Gate::new(json!({}));
    let verifier = "v".repeat(50);
    let challenge = "CrlVwe1WSHWuTQYh3iczmx3aS-faRx6C92k9_hNxl4A";
    for padded in [
        challenge.to_owned(),
        format!("{challenge}%3D"),
        challenge.replace('-', "%2B").replace('_', "/"),
    ] {
        let code = gate
            .code(&format!(
                "client_id=phone&code_challenge={padded}&code_challenge_method=s256"
            ))
            .await;
        let ask = format!("grant_type=authorization_code&client_id=phone&code={code}");
        for (more, name, message) in [
            (
                String::new(),
                "invalid_request",
                "code_verifier is required for PKCE authorization requests",
            ),
            (
                "&code_verifier=v&code_verifier=v".to_owned(),
                "invalid_request",
                "code_verifier is not a string",
            ),
            (
                "&code_verifier=v".to_owned(),
                "invalid_request",
                "code_verifier must be between 43 and 128 characters",
            ),
            (
                format!("&code_verifier={}", "w".repeat(50)),
                "invalid_grant",
                "Invalid code",
            ),
        ] {
            assert_eq!(
                gate.token(&format!("{ask}{more}")).await,
                error(400, name, message)
            );
        }
        assert_eq!(
            gate.token(&format!("{ask}&code_verifier={verifier}"))
                .await
                .0,
            200
        );
    }
    // A confidential client that shows a challenge has to show what was hashed as well.
    let code = gate.code(&format!("code_challenge={challenge}")).await;
    let ask = format!("grant_type=authorization_code&{CLIENT}&code={code}");
    assert_eq!(gate.token(&ask).await.0, 400);
    assert_eq!(
        gate.token(&format!("{ask}&code_verifier={verifier}"))
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn proof_keys_are_asked_of_those_of_whom_the_settings_say() {
    for (pkce, confidential, public) in [
        (json!("none"), 200, 200),
        (json!("lax"), 200, 400),
        (json!(null), 200, 400),
        (json!("strict"), 400, 400),
    ] {
        let gate = Gate::new(json!({ "pkce": pkce }));
        assert_eq!(
            gate.authorize("response_type=code").await.0,
            confidential,
            "{pkce}"
        );
        let (status, body) = gate.authorize("client_id=phone&response_type=code").await;
        assert_eq!(status, public, "{pkce}");
        if status == 400 {
            let why = argument(text(&body, "redirect_uri"), "error_description");
            assert_eq!(why, "code_challenge is required for public clients");
        }
    }
    let gate = Gate::new(json!({}));
    for (more, message) in [
        (
            "code_challenge_method=S256",
            "code_challenge is required when code_method is present",
        ),
        (
            "code_challenge=x&code_challenge_method=plain",
            "code_challenge_method is not supported, must be S256",
        ),
        (
            "code_challenge=",
            "code_challenge is not a SHA-256 hash in base64url",
        ),
    ] {
        let (_, body) = gate.authorize(&format!("response_type=code&{more}")).await;
        assert_eq!(
            argument(text(&body, "redirect_uri"), "error_description"),
            message
        );
    }
}

#[tokio::test]
async fn the_endpoints_take_post_only() {
    let gate = Gate::new(json!({ "realm": "r" }));
    for (path, name) in [
        ("/oauth2/token", "token"),
        ("/x/oauth2/authorize/", "authorization"),
    ] {
        let reply = gate
            .turn(&mut Sample::new("GET", path, &[]))
            .await
            .expect("an answer");
        assert_eq!(reply.status, 405);
        let message = format!("The HTTP method GET is invalid for the {name} endpoint");
        let challenge =
            format!("Bearer realm=\"r\" error=\"invalid_method\" error_description=\"{message}\"");
        assert_eq!(
            reply.headers,
            [("WWW-Authenticate".into(), challenge.into_bytes())]
        );
    }
    let near = Sample::new("POST", "/oauth2/tokens", &[]);
    assert_eq!(
        gate.turn(&mut { near }).await.map(|reply| reply.status),
        Some(401)
    );
}

#[tokio::test]
async fn secrets_are_taken_only_where_nobody_listens() {
    let form = format!("grant_type=client_credentials&{CLIENT}");
    let only = error(
        400,
        "access_denied",
        "Only one X-Forwarded-Proto header allowed",
    );
    let https = error(400, "access_denied", "You must use HTTPS");
    for (accepts, trusted, said, expected) in [
        (true, true, &["https"][..], None),
        (true, true, &["HTTPS"], None),
        (true, true, &["http"], Some(&https)),
        (true, true, &[], Some(&https)),
        (true, true, &["https, http"], Some(&only)),
        (true, true, &["https", "https"], Some(&only)),
        (true, false, &["https"], Some(&https)),
        (false, true, &["https"], Some(&https)),
    ] {
        let gate = Gate::new(json!({ "accept_http_if_already_terminated": accepts }));
        for path in ["/oauth2/token", "/oauth2/authorize"] {
            let mut sample = secure(path, &form);
            sample.connection.tls = None;
            sample.connection.trusted = trusted;
            for value in said {
                sample
                    .head
                    .headers
                    .append("X-Forwarded-Proto", value)
                    .expect("a header");
            }
            let answer = answered(gate.turn(&mut sample).await);
            match expected {
                Some(expected) => assert_eq!(answer, *expected, "{said:?}"),
                None => assert_ne!(answer.1["error"], "access_denied", "{said:?}"),
            }
        }
    }
}
