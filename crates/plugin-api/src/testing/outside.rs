//! A network and a machine that tests play.

use std::collections::HashMap;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{FakeRecords, services};
use crate::{
    BoxFuture, Connection, Destination, HttpProxy, HttpRequest, HttpResponse, Machine, Network,
    NetworkError, Services, TlsOptions,
};

/// What a server answers, or why it does not.
pub type Answer = Result<HttpResponse, NetworkError>;

/// What lies outside of the gateway: a server that answers by a function, files and variables. Nothing else is there.
pub struct Outside {
    answers: Box<dyn Fn(&HttpRequest) -> Answer + Send + Sync>,
    asked: Mutex<Vec<(Option<HttpProxy>, HttpRequest)>>,
    variables: Mutex<HashMap<String, String>>,
    files: Mutex<HashMap<String, String>>,
}

impl Outside {
    /// With a server that answers all requests so, whatever their host.
    pub fn new(answers: impl Fn(&HttpRequest) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answers: Box::new(answers),
            asked: Mutex::default(),
            variables: Mutex::default(),
            files: Mutex::default(),
        })
    }

    /// Where nobody is.
    pub fn empty() -> Arc<Self> {
        Self::new(|_| Err(not_there("a server")))
    }

    /// Services over this outside, without records.
    pub fn services(self: &Arc<Self>) -> Services {
        let mut services = services(FakeRecords::default());
        services.network = self.clone();
        services.machine = self.clone();
        services
    }

    /// The requests since the last call.
    pub fn take_asked(&self) -> Vec<HttpRequest> {
        let asked = self.take_asked_through();
        asked.into_iter().map(|(_, request)| request).collect()
    }

    /// The same, with the proxies that they came through.
    pub fn take_asked_through(&self) -> Vec<(Option<HttpProxy>, HttpRequest)> {
        std::mem::take(&mut *self.asked.lock())
    }

    /// Sets a variable of the environment.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.variables
            .lock()
            .insert(name.to_owned(), value.to_owned());
    }

    /// Writes a file.
    pub fn set_file(&self, path: &str, text: &str) {
        self.files.lock().insert(path.to_owned(), text.to_owned());
    }

    fn answer(&self, proxy: Option<HttpProxy>, request: HttpRequest) -> BoxFuture<Answer> {
        let answer = (self.answers)(&request);
        self.asked.lock().push((proxy, request));
        Box::pin(ready(answer))
    }
}

/// An answer of a server.
///
/// # Errors
/// Never; it is what [`Outside::new`] takes.
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

fn not_there(what: &str) -> NetworkError {
    NetworkError::Failed(format!("a test has not set up {what}"))
}

fn refused<T: Send + 'static>(what: &str) -> BoxFuture<Result<T, NetworkError>> {
    Box::pin(ready(Err(not_there(what))))
}

fn read_only() -> BoxFuture<io::Result<()>> {
    let error = io::Error::other("nothing is written in a test");
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
        refused("who gets datagrams")
    }

    fn connect(
        &self,
        _: Destination,
        _: Option<TlsOptions>,
        _: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        refused("who takes connections")
    }

    fn resolve(&self, _: &str, _: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        refused("names")
    }
}

impl Machine for Outside {
    fn append(&self, _: &str, _: bool, _: Bytes) -> BoxFuture<io::Result<()>> {
        read_only()
    }

    fn read(&self, path: &str, _: u64) -> BoxFuture<io::Result<Bytes>> {
        let text = self.files.lock().get(path).cloned();
        let text = text.ok_or_else(|| io::Error::other("there is no such file"));
        Box::pin(ready(text.map(Bytes::from)))
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.variables.lock().get(name).cloned()
    }

    fn system_log(&self, _: Bytes) -> BoxFuture<io::Result<()>> {
        read_only()
    }
}
