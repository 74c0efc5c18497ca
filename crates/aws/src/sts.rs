//! The security token service: roles that somebody takes on.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{BoxFuture, HttpProxy, HttpRequest, Services, TlsOptions};
use stdx::{Moment, Secret};
use url::Url;

use super::credentials::moment;
use super::signature::{self, Signable, sign};
use super::{Credentials, Keeper, Source, ask, domain, exchange};

/// How much of an error's reason is told.
const MOST_TOLD: usize = 300;

/// Where the service is.
#[derive(Debug, Clone)]
pub struct TokenService {
    pub region: String,
    /// Its URL, if it is not the region's own.
    pub endpoint: Option<String>,
    pub proxy: Option<HttpProxy>,
}

/// A role that the base's credentials may take on.
pub struct AssumedRole {
    pub base: Arc<Keeper>,
    pub service: TokenService,
    pub arn: String,
    pub session: String,
    pub services: Services,
}

impl Source for AssumedRole {
    fn fetch(&self) -> BoxFuture<Result<Credentials, String>> {
        let (base, service) = (self.base.clone(), self.service.clone());
        let (arn, session) = (self.arn.clone(), self.session.clone());
        let services = self.services.clone();
        Box::pin(async move {
            let base = base.get().await.map_err(|reason| reason.to_string())?;
            let form = [
                ("Action", "AssumeRole"),
                ("Version", VERSION),
                ("RoleArn", &*arn),
                ("RoleSessionName", &*session),
            ];
            service.ask(&services, &form, Some(&base)).await
        })
    }
}

/// Of the service's interface.
const VERSION: &str = "2011-06-15";

impl TokenService {
    /// Takes on a role with a token that somebody else has signed.
    pub async fn assume_with_web_identity(
        &self,
        services: &Services,
        arn: &str,
        session: &str,
        token: &Secret,
    ) -> Result<Credentials, String> {
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", arn),
            ("RoleSessionName", session),
            ("WebIdentityToken", token.expose()),
        ];
        self.ask(services, &form, None).await
    }

    async fn ask(
        &self,
        services: &Services,
        form: &[(&str, &str)],
        signer: Option<&Credentials>,
    ) -> Result<Credentials, String> {
        let request = self.request(services, form, signer)?;
        let answer = exchange(&services.network, self.proxy.as_ref(), request).await;
        let answer = answer.map_err(|error| format!("the token service: {error}"))?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 {
            let told = |name| element(&text, name).unwrap_or_default();
            let (code, message) = (told("Code"), told("Message"));
            let message: String = message.chars().take(MOST_TOLD).collect();
            let status = answer.status;
            return Err(format!(
                "the token service answered {status}: {code:?}, {message:?}"
            ));
        }
        credentials(&text).ok_or_else(|| "the token service gave no credentials".to_owned())?
    }

    fn request(
        &self,
        services: &Services,
        form: &[(&str, &str)],
        signer: Option<&Credentials>,
    ) -> Result<HttpRequest, String> {
        let regional = services.machine.environment("AWS_STS_REGIONAL_ENDPOINTS");
        let (url, region) = match &self.endpoint {
            Some(url) => (url.clone(), &*self.region),
            None if regional.as_deref() == Some("legacy") => {
                ("https://sts.amazonaws.com".to_owned(), "us-east-1")
            }
            None => {
                let region = &*self.region;
                (format!("https://sts.{region}.{}", domain(region)), region)
            }
        };
        let url = Url::parse(&url).map_err(|error| format!("aws_sts_endpoint_url: {error}"))?;
        let host = url.host_str().ok_or("aws_sts_endpoint_url: no host")?;
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let body = Bytes::from(signature::query(form));
        let kind = "application/x-www-form-urlencoded; charset=utf-8";
        let mut headers = vec![("content-type".to_owned(), kind.into())];
        if let Some(signer) = signer {
            let signable = Signable {
                service: "sts",
                region,
                method: "POST",
                host: &host,
                path: url.path(),
                query: "",
                headers,
                body: &body,
            };
            headers = sign(signable, signer, Moment::from(services.clock.now()));
        }
        Ok(HttpRequest {
            body,
            tls: TlsOptions {
                server_name: None,
                // Compat: a server that was named may have any certificate.
                verify: self.endpoint.is_none(),
            },
            ..ask("POST", url.into(), headers)
        })
    }
}

fn credentials(xml: &str) -> Option<Result<Credentials, String>> {
    let expires = match moment(element(xml, "Expiration")?) {
        Ok(expires) => expires,
        Err(reason) => return Some(Err(reason)),
    };
    Some(Ok(Credentials {
        key_id: element(xml, "AccessKeyId")?.to_owned(),
        secret: Secret::new(element(xml, "SecretAccessKey")?),
        session_token: Some(Secret::new(element(xml, "SessionToken")?)),
        expires: Some(expires),
        renew: None,
    }))
}

/// The text of the first element of a name. What the service says has neither attributes nor references in it.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&*format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.trim()).filter(|text| !text.contains(['<', '&']))
}
