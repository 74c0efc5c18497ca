//! Changes to what the upstream gets.

use mlua::Value;
use plugin_api::{Method, without_argument};

use super::{Answer, Fault, Host, Words, said};

impl Host<'_, '_, '_> {
    /// `set`, `add` or `clear`, a name, and values.
    pub(super) fn set_upstream_header(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let how = words.text()?;
        let name = words.text()?;
        let values = words.texts()?;
        let work = &mut self.scene.exchange.work;
        if name.eq_ignore_ascii_case("host") {
            let host = values.into_iter().next_back();
            let host = host.map(String::from_utf8).transpose();
            let host = host.map_err(|_| said("a host is a string of UTF-8"))?;
            work.upstream.host_header = host.map(String::into_boxed_str);
            return Ok(Vec::new());
        }
        let headers = &mut self.scene.exchange.head.headers;
        let refused = |error| said(format!("invalid header {name:?}: {error}"));
        if how != "add" {
            headers.remove(&*name);
        }
        for value in values {
            headers.append(&*name, value).map_err(refused)?;
        }
        Ok(Vec::new())
    }

    pub(super) fn set_scheme(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        self.scene.exchange.work.upstream.scheme = Some(words.text()?.into());
        Ok(Vec::new())
    }

    pub(super) fn set_path(&mut self, words: &mut Words) -> Answer {
        let path = words.bytes()?;
        self.after_route()?;
        if !path.starts_with(b"/") {
            return Err(said("path must start with /"));
        }
        self.scene.exchange.set_path(&path);
        Ok(Vec::new())
    }

    pub(super) fn set_query(&mut self, words: &mut Words) -> Answer {
        let query = words.bytes()?;
        self.after_route()?;
        if query
            .iter()
            .any(|byte| byte.is_ascii_control() || matches!(byte, b' ' | b'#'))
        {
            return Err(said("the query holds what cannot stand in one"));
        }
        self.scene.exchange.set_query(&query);
        Ok(Vec::new())
    }

    pub(super) fn clear_query_argument(&mut self, words: &mut Words) -> Answer {
        let name = words.bytes()?;
        self.after_route()?;
        let query = without_argument(self.scene.exchange.query(), &name);
        self.scene.exchange.set_query(&query);
        Ok(Vec::new())
    }

    pub(super) fn set_method(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let name = words.bytes()?;
        let method = Method::parse(&name).map_err(|_| {
            said(format!(
                "invalid method: {}",
                String::from_utf8_lossy(&name)
            ))
        })?;
        self.scene.exchange.head.set_method(method);
        Ok(Vec::new())
    }

    pub(super) fn set_request_body(&mut self, words: &mut Words) -> Answer {
        self.after_route()?;
        let body = words.bytes()?;
        self.scene.exchange.set_body(body);
        Ok(Vec::new())
    }

    /// A host, and a port unless the host is an upstream's name.
    pub(super) fn set_target(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let host = words.text()?;
        let upstream = &mut self.scene.exchange.work.upstream;
        upstream.host_header = Some(host.as_str().into());
        upstream.host = Some(host.into());
        if let value @ (Value::Integer(_) | Value::Number(_)) = words.value() {
            let mut one = Words([value].into());
            upstream.port = Some(one.number()?);
        }
        Ok(Vec::new())
    }

    /// Where the target is there and the request is not yet sent.
    fn after_route(&self) -> Result<(), Fault> {
        match self.scene.stage {
            crate::scene::Stage::Access => Ok(()),
            _ => Err(self.not_now()),
        }
    }
}
