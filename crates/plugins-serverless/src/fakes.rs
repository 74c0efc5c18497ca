//! A network and a machine that tests play.

use std::collections::HashMap;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::testing::{FakeRecords, services};
use plugin_api::{
    BoxFuture, Connection, Destination, HttpProxy, HttpRequest, HttpResponse, Machine, Network,
    NetworkError, Services, TlsOptions,
};

type Answer = Result<HttpResponse, NetworkError>;

/// What lies outside of the gateway: a server that answers by a function, files and variables.
pub struct Outside {
    pub asked: Mutex<Vec<(Option<HttpProxy>, HttpRequest)>>,
    pub answers: Box<dyn Fn(&HttpRequest) -> Answer + Send + Sync>,
    pub variables: Mutex<HashMap<&'static str, String>>,
    pub files: Mutex<HashMap<String, &'static str>>,
}

impl Outside {
    pub fn new(answers: impl Fn(&HttpRequest) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            answers: Box::new(answers),
            variables: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// Services over this outside.
    pub fn services(self: &Arc<Self>) -> Services {
        let mut services = services(FakeRecords::default());
        services.network = self.clone();
        services.machine = self.clone();
        services
    }

    /// The requests since the last call.
    pub fn take_asked(&self) -> Vec<HttpRequest> {
        let asked = std::mem::take(&mut *self.asked.lock());
        asked.into_iter().map(|(_, request)| request).collect()
    }

    pub fn set_variable(&self, name: &'static str, value: &str) {
        self.variables.lock().insert(name, value.to_owned());
    }

    fn answer(&self, proxy: Option<HttpProxy>, request: HttpRequest) -> BoxFuture<Answer> {
        let answer = (self.answers)(&request);
        self.asked.lock().push((proxy, request));
        Box::pin(ready(answer))
    }
}

/// An answer of a server.
pub fn says(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter();
    Ok(HttpResponse {
        status,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

/// The first value of a header, as text.
pub fn header<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(held, _)| held.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(value).ok()
}

fn nobody<T: Send + 'static>() -> BoxFuture<Result<T, NetworkError>> {
    let error = NetworkError::Failed("nobody is there".to_owned());
    Box::pin(ready(Err(error)))
}

impl Network for Outside {
    fn http(&self, request: HttpRequest) -> BoxFuture<Answer> {
        self.answer(None, request)
    }

    fn http_through(&self, proxy: HttpProxy, request: HttpRequest) -> BoxFuture<Answer> {
        self.answer(Some(proxy), request)
    }

    fn datagram(&self, _: Destination, _: Bytes) -> BoxFuture<Result<(), NetworkError>> {
        nobody()
    }

    fn connect(
        &self,
        _: Destination,
        _: Option<TlsOptions>,
        _: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        nobody()
    }

    fn resolve(&self, _: &str, _: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        nobody()
    }
}

impl Machine for Outside {
    fn append(&self, _: &str, _: bool, _: Bytes) -> BoxFuture<std::io::Result<()>> {
        Box::pin(ready(Err(std::io::Error::other("nobody writes"))))
    }

    fn read(&self, path: &str, _: u64) -> BoxFuture<std::io::Result<Bytes>> {
        let text = self.files.lock().get(path).copied();
        let text = text.ok_or_else(|| std::io::Error::other("there is no such file"));
        Box::pin(ready(text.map(|text| Bytes::from_static(text.as_bytes()))))
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.variables.lock().get(name).cloned()
    }

    fn system_log(&self, _: Bytes) -> BoxFuture<std::io::Result<()>> {
        Box::pin(ready(Err(std::io::Error::other("nobody listens"))))
    }
}
