use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use plugin_api::testing::{Answer, Outside, header, says};
use plugin_api::{HttpRequest, NetworkError, Services};
use stdx::{ManualClock, Moment, Secret};

use super::*;

fn example() -> Credentials {
    let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
    Credentials::lasting("AKIDEXAMPLE".to_owned(), secret, None)
}

fn signature(signable: Signable<'_>, credentials: &Credentials) -> String {
    let now = Moment::parse("2015-08-30T12:36:00Z").expect("a time");
    let headers = sign(signable, credentials, now);
    let authorization = header(&headers, "authorization").expect("a signature");
    authorization.rsplit('=').next().expect("it").to_owned()
}

/// Vectors of AWS's public test suite of signatures, and of its documentation.
#[test]
fn published_requests_have_their_published_signatures() {
    let plain = |query| Signable {
        service: "service",
        region: "us-east-1",
        method: "GET",
        host: "example.amazonaws.com",
        path: "/",
        query,
        headers: Vec::new(),
        body: b"",
    };
    assert_eq!(
        signature(plain(""), &example()),
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    );
    let sorted = query(&[("Param2", "value2"), ("Param1", "value1")]);
    assert_eq!(
        signature(plain(&sorted), &example()),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
    );
    let users = Signable {
        service: "iam",
        host: "iam.amazonaws.com",
        headers: vec![(
            "Content-Type".to_owned(),
            b"application/x-www-form-urlencoded;   charset=utf-8".to_vec(),
        )],
        ..plain("Action=ListUsers&Version=2010-05-08")
    };
    assert_eq!(
        signature(users, &example()),
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn a_call_of_a_function_is_signed_as_botocore_does_it() {
    let call = || Signable {
        service: "lambda",
        region: "us-east-1",
        method: "POST",
        host: "lambda.us-east-1.amazonaws.com",
        path: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123%3Afunction%3Af/invocations",
        query: "Qualifier=%24LATEST",
        headers: vec![
            ("X-Amz-Invocation-Type".to_owned(), b"Event".to_vec()),
            ("X-Amz-Log-Type".to_owned(), b"Tail".to_vec()),
        ],
        body: br#"{"a":1}"#,
    };
    assert_eq!(
        signature(call(), &example()),
        "f1765a57856059ed5a7765936c49035df7495f2ee5bb8ac1c597b7db2d094256"
    );
    let session = Credentials {
        session_token: Some(Secret::new("TOKEN")),
        ..example()
    };
    assert_eq!(
        signature(call(), &session),
        "3447a7496a515a95c820c1b5b41080cdeb54003e27a7fc9023331b7cb4b956bd"
    );
}

/// Botocore writes the query as it comes; the service reads it in its order.
#[test]
fn a_request_to_a_model_is_signed_as_botocore_does_it() {
    let query = query(&[("x", ""), ("a-b", "2"), ("a", "1"), ("a", " +")]);
    assert_eq!(query, "a=%20%2B&a=1&a-b=2&x=");
    let call = |query| Signable {
        service: "bedrock",
        region: "us-east-1",
        method: "POST",
        host: "bedrock-runtime.us-east-1.amazonaws.com",
        path: "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-v1%3A0/converse",
        query,
        headers: Vec::new(),
        body: br#"{"a":1}"#,
    };
    assert_eq!(
        signature(call(""), &example()),
        "0aa57ede00e1e9c83b49a3b7ee362893809c638963e2cc87a378866a8043ce3b"
    );
    let session = Credentials {
        session_token: Some(Secret::new("TOKEN")),
        ..example()
    };
    assert_eq!(
        signature(call(&query), &session),
        "9f496f8b47055f5301679088b73173ba920c5d1f437fff00254dbfaac5f70c0e"
    );
}

fn token_service(endpoint: Option<&str>) -> TokenService {
    TokenService {
        region: "eu-west-1".to_owned(),
        endpoint: endpoint.map(str::to_owned),
        proxy: None,
    }
}

async fn found(outside: &Arc<Outside>, metadata: Metadata) -> Result<Credentials, String> {
    let chain = Chain {
        services: outside.services(),
        metadata,
        token_service: token_service(None),
    };
    chain.fetch().await
}

fn away() -> Arc<Outside> {
    Outside::new(|_| Err(NetworkError::Timeout))
}

const JSON: &str = r#"{ "Code": "Success", "AccessKeyId": "K", "SecretAccessKey": "S", "Token": "T",
    "Expiration": "2026-11-23T22:00:00Z" }"#;

fn xml(of: &str, expiration: &str) -> String {
    format!(
        "<{of}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{of}Result><Credentials>
         <AccessKeyId>K</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>
         <Expiration>{expiration}</Expiration></Credentials></{of}Result></{of}Response>"
    )
}

#[track_caller]
fn is_ours(found: Result<Credentials, String>) {
    let found = found.expect("credentials");
    assert_eq!((&*found.key_id, found.secret.expose()), ("K", "S"));
    let token = found.session_token.expect("a token");
    assert_eq!(token.expose(), "T");
}

#[tokio::test]
async fn variables_come_first_and_then_files() {
    let outside = away();
    let files = [
        (
            "/home/one/.aws/credentials",
            "[other]\naws_access_key_id=x\n",
        ),
        (
            "/home/one/.aws/config",
            "; keys\n[default]\naws_access_key_id = K\n[ profile  mine ]\naws_access_key_id = K\n\
             aws_secret_access_key= S\naws_session_token =T\nregion=x\n[next]\naws_access_key_id=no\n",
        ),
    ];
    for (path, text) in files {
        outside.set_file(path, text);
    }
    outside.set_variable("HOME", "/home/one");
    assert!(found(&outside, Metadata::V1).await.is_err());
    outside.set_variable("AWS_PROFILE", "mine");
    let of_file = found(&outside, Metadata::V1).await;
    assert!(of_file.as_ref().is_ok_and(|found| found.renew == Some(300)));
    is_ours(of_file);
    for (name, value) in [
        ("AMAZON_ACCESS_KEY_ID", "K"),
        ("AMAZON_SECRET_ACCESS_KEY", "S"),
        ("AMAZON_SESSION_TOKEN", "T"),
        ("AWS_ACCESS_KEY_ID", "half"),
    ] {
        outside.set_variable(name, value);
    }
    is_ours(found(&outside, Metadata::V1).await);
    outside.set_variable("AWS_SECRET_ACCESS_KEY", "first");
    let first = found(&outside, Metadata::V1).await.expect("credentials");
    assert_eq!((&*first.key_id, first.secret.expose()), ("half", "first"));
}

#[tokio::test]
async fn an_instance_is_asked_with_a_session_where_that_is_wanted() {
    let says_it = |wants_session: bool| {
        Outside::new(move |asked: &HttpRequest| {
            let session = header(&asked.headers, "x-aws-ec2-metadata-token");
            match &*asked.url {
                "http://169.254.169.254/latest/api/token" if asked.method == "PUT" => {
                    says(200, &[], "session\n")
                }
                _ if wants_session && session != Some("session") => says(401, &[], ""),
                "http://169.254.169.254/latest/meta-data/iam/security-credentials/" => {
                    says(200, &[], "role\n")
                }
                "http://169.254.169.254/latest/meta-data/iam/security-credentials/role" => {
                    says(200, &[], JSON)
                }
                _ => says(404, &[], ""),
            }
        })
    };
    for (version, wants_session, requests) in [
        (Metadata::V1, false, 2),
        (Metadata::V1, true, 4),
        (Metadata::V2, false, 3),
        (Metadata::V2, true, 3),
    ] {
        let outside = says_it(wants_session);
        is_ours(found(&outside, version).await);
        assert_eq!(outside.take_asked().len(), requests, "{version:?}");
    }
    let outside = says_it(false);
    outside.set_variable("AWS_EC2_METADATA_DISABLED", "true");
    assert!(found(&outside, Metadata::V1).await.is_err());
    assert!(outside.take_asked().is_empty());
}

#[tokio::test]
async fn nonsense_of_an_instance_is_an_error_that_does_not_repeat_it() {
    for said in ["", "../../x y\n", "role\u{7}", "{", "\"\"", "a/b"] {
        let outside = Outside::new(move |_| says(200, &[], said));
        let error = found(&outside, Metadata::V1).await.expect_err("an error");
        assert!(error.starts_with("the instance: "), "{error}");
    }
    let secret = r#"{ "AccessKeyId": "K", "SecretAccessKey": 77 }"#;
    let outside = Outside::new(move |_| says(200, &[], secret));
    let error = found(&outside, Metadata::V1).await.expect_err("an error");
    assert!(!error.contains("77"), "{error}");
}

#[tokio::test]
async fn a_container_is_asked_with_its_token() {
    let outside = Outside::new(|_| says(200, &[], JSON));
    outside.set_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/creds");
    outside.set_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the variable");
    is_ours(found(&outside, Metadata::V1).await);
    let asked = outside.take_asked().remove(0);
    assert_eq!(asked.url, "http://169.254.170.2/v2/creds");
    assert_eq!(
        header(&asked.headers, "authorization"),
        Some("of the variable")
    );
    outside.set_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/token");
    outside.set_file("/token", "of the file\n");
    is_ours(found(&outside, Metadata::V1).await);
    let asked = outside.take_asked().remove(0);
    assert_eq!(header(&asked.headers, "authorization"), Some("of the file"));
}

#[tokio::test]
async fn containers_are_asked_over_the_network_only_with_tls() {
    for (url, may) in [
        ("http://localhost:81/x", true),
        ("http://127.0.0.9/x", true),
        ("http://169.254.170.23/v1/credentials", true),
        ("http://[fd00:ec2::23]/v1/credentials", true),
        ("https://elsewhere.test/x", true),
        ("http://elsewhere.test/x", false),
        ("http://169.254.170.24/", false),
        ("http://localhost.elsewhere.test/", false),
        ("ftp://localhost/", false),
        ("nonsense", false),
    ] {
        let outside = Outside::new(|_| says(200, &[], JSON));
        outside.set_variable("AWS_EC2_METADATA_DISABLED", "true");
        outside.set_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
        assert_eq!(found(&outside, Metadata::V1).await.is_ok(), may, "{url}");
        assert_eq!(outside.take_asked().len(), usize::from(may), "{url}");
    }
}

#[tokio::test]
async fn a_web_identity_takes_on_its_role_without_a_signature() {
    let outside = Outside::new(|_| {
        says(
            200,
            &[],
            &xml("AssumeRoleWithWebIdentity", "2026-11-23T22:00:00Z"),
        )
    });
    outside.set_variable("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
    outside.set_variable("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    outside.set_file("/token", "jwt.of+it\n");
    is_ours(found(&outside, Metadata::V1).await);
    let asked = outside.take_asked().remove(0);
    assert_eq!(asked.url, "https://sts.eu-west-1.amazonaws.com/");
    assert!(asked.tls.verify);
    assert_eq!(header(&asked.headers, "authorization"), None);
    let form = std::str::from_utf8(&asked.body).expect("a form");
    assert!(form.contains("Action=AssumeRoleWithWebIdentity&"), "{form}");
    assert!(form.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&"));
    assert!(form.ends_with("WebIdentityToken=jwt.of%2Bit"), "{form}");
    outside.set_variable("AWS_STS_REGIONAL_ENDPOINTS", "legacy");
    is_ours(found(&outside, Metadata::V1).await);
    assert_eq!(outside.take_asked()[0].url, "https://sts.amazonaws.com/");
}

/// A role that is taken on by the example's credentials.
fn role(services: &Services) -> AssumedRole {
    AssumedRole {
        base: Arc::new(Keeper::new(example(), services)),
        service: token_service(Some("http://sts.test:81")),
        arn: "arn:aws:iam::1:role/r".to_owned(),
        session: "kong".to_owned(),
        services: services.clone(),
    }
}

#[tokio::test]
async fn a_role_is_taken_on_with_a_signature() {
    let outside = Outside::new(|_| says(200, &[], &xml("AssumeRole", "2026-11-23T22:00:00Z")));
    is_ours(role(&outside.services()).fetch().await);
    let asked = outside.take_asked().remove(0);
    assert_eq!(asked.url, "http://sts.test:81/");
    assert_eq!(header(&asked.headers, "host"), Some("sts.test:81"));
    let authorization = header(&asked.headers, "authorization").expect("a signature");
    assert!(authorization.contains("/eu-west-1/sts/aws4_request, "));
    assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-date"));
}

#[tokio::test]
async fn what_the_token_service_refuses_is_told_and_nonsense_is_an_error() {
    let refused = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not\nyou</Message></Error></ErrorResponse>";
    for (status, said, words) in [
        (
            403,
            refused.to_owned(),
            "answered 403: \"AccessDenied\", \"not\\nyou\"",
        ),
        (500, "\u{0}".to_owned(), "answered 500"),
        (200, "hello".to_owned(), "gave no credentials"),
        (200, xml("AssumeRole", "soon"), "is no time"),
        (200, xml("AssumeRole", "<"), "gave no credentials"),
        (
            200,
            xml("AssumeRole", "2026-11-23T22:00:00Z").replace(">K<", ">&amp;<"),
            "gave no",
        ),
    ] {
        let outside = Outside::new(move |_| says(status, &[], &said));
        let error = role(&outside.services())
            .fetch()
            .await
            .expect_err("an error");
        assert!(error.contains(words), "{error}");
    }
}

/// A machine whose metadata service gives credentials that end after a minute and a half, if it is not away.
fn short_lived(lifetime: &Arc<AtomicI64>) -> (Arc<Outside>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let (times, lifetime) = (clock.clone(), lifetime.clone());
    let outside = Outside::new(move |asked: &HttpRequest| -> Answer {
        use stdx::Clock as _;
        match lifetime.load(Ordering::SeqCst) {
            0 => Err(NetworkError::Timeout),
            _ if asked.url.ends_with('/') => says(200, &[], "role"),
            lifetime => {
                let end = Moment {
                    seconds: times.unix_seconds() + lifetime,
                };
                says(
                    200,
                    &[],
                    &JSON.replace("2026-11-23T22:00:00Z", &end.to_string()),
                )
            }
        }
    });
    (outside, clock)
}

fn keeper(outside: &Arc<Outside>, clock: &Arc<ManualClock>) -> Arc<Keeper> {
    let mut services = outside.services();
    services.clock = clock.clone();
    let chain = Chain {
        services: services.clone(),
        metadata: Metadata::V1,
        token_service: token_service(None),
    };
    Arc::new(Keeper::new(chain, &services))
}

#[tokio::test]
async fn credentials_are_kept_while_they_last_and_fetched_once_for_all_who_wait() {
    let (outside, clock) = short_lived(&Arc::new(AtomicI64::new(3600)));
    let keeper = keeper(&outside, &clock);
    let all = futures_util::future::join_all((0..9).map(|_| keeper.get())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(outside.take_asked().len(), 2);
    clock.advance(Duration::from_secs(3200));
    assert!(keeper.get().await.is_ok());
    assert!(outside.take_asked().is_empty());
    clock.advance(Duration::from_secs(390));
    assert!(keeper.get().await.is_ok());
    assert_eq!(outside.take_asked().len(), 2);
}

#[tokio::test]
async fn while_nobody_gives_new_credentials_the_old_ones_serve_to_their_end() {
    let lifetime = Arc::new(AtomicI64::new(3600));
    let (outside, clock) = short_lived(&lifetime);
    let keeper = keeper(&outside, &clock);
    let first = keeper.get().await.expect("credentials");
    lifetime.store(0, Ordering::SeqCst);
    clock.advance(Duration::from_secs(3400));
    assert_eq!(keeper.get().await.expect("credentials"), first);
    clock.advance(Duration::from_secs(190));
    let error = keeper.get().await.expect_err("an end");
    assert!(error.contains("timeout"), "{error}");
    let tried = outside.take_asked().len();
    assert!(keeper.get().await.is_err());
    assert_eq!(outside.take_asked().len(), 0, "after {tried}");
    lifetime.store(3600, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert!(keeper.get().await.is_ok());
}
