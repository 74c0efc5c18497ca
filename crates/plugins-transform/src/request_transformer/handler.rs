//! Changes requests: the path, the method, headers, the body, the query, in this order; in each of them removes, renames,
//! replaces, adds and appends, in this order.

use std::borrow::Cow;
use std::sync::Arc;

use lua::{Scene, Stage, Template, Values};
use plugin_api::{
    Configured, Exchange, Failure, Handler, Known, Method, Needs, Phase, Services, Step,
    UntrustedLua, arguments,
};
use serde::Deserialize;
use uuid::Uuid;

use super::body;
use super::named::Named;
use crate::lists;

#[derive(Deserialize)]
struct Config {
    http_method: Option<String>,
    remove: Lists,
    rename: Lists,
    replace: Replaced,
    add: Lists,
    append: Lists,
}

#[derive(Deserialize, Default)]
struct Lists {
    body: Vec<String>,
    headers: Vec<String>,
    querystring: Vec<String>,
}

#[derive(Deserialize)]
struct Replaced {
    #[serde(flatten)]
    lists: Lists,
    uri: Option<String>,
}

/// The changes to one part of a request, by names; a value is a template.
pub(super) struct Part {
    pub remove: Vec<String>,
    rename: Vec<(String, Template)>,
    replace: Vec<(String, Template)>,
    add: Vec<(String, Template)>,
    append: Vec<(String, Template)>,
}

/// The same with the values of one request.
pub(super) struct Changes<'a> {
    pub remove: &'a [String],
    pub rename: Pairs<'a>,
    pub replace: Pairs<'a>,
    pub add: Pairs<'a>,
    pub append: Pairs<'a>,
}

type Pairs<'a> = Vec<(&'a str, Cow<'a, [u8]>)>;

struct RequestTransformer {
    id: Uuid,
    method: Option<Method>,
    uri: Option<Template>,
    headers: Part,
    body: Part,
    query: Part,
    /// Templates of body and query see the request as templates before them saw it, if there are any.
    fills_at_once: bool,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let lua = &services.node.lua;
    let part = |lists: fn(&Lists) -> &Vec<String>| Part::compile(&config, lists, lua);
    let method = config.http_method.as_deref();
    let method = method.map(|method| Method::parse(method.as_bytes()));
    let uri = config.replace.uri.as_deref().filter(|uri| !uri.is_empty());
    let uri = uri.map(|uri| Template::compile(uri, lua)).transpose()?;
    let headers = part(|lists| &lists.headers)?;
    Ok(Arc::new(RequestTransformer {
        id: record.id,
        method: method.transpose()?,
        fills_at_once: !headers.is_text()
            || uri.as_ref().is_some_and(|uri| uri.as_text().is_none()),
        uri,
        headers,
        body: part(|lists| &lists.body)?,
        query: part(|lists| &lists.querystring)?,
        services: services.clone(),
    }))
}

impl Handler for RequestTransformer {
    fn needs(&self) -> Needs {
        Needs {
            request_body: !self.body.is_empty() || self.moves_form(),
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        match self.transform(exchange) {
            Ok(()) => Step::next(),
            Err(failure) => Step::Now(Err(failure)),
        }
    }
}

impl RequestTransformer {
    fn transform(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let mut values = Values::default();
        let mut scene = Scene {
            exchange,
            services: &self.services,
            plugin: super::DECLARATION.name,
            plugin_id: self.id,
            stage: Stage::Access,
        };
        if let Some(uri) = &self.uri {
            let path = uri.fill(&mut scene, &mut values)?;
            if !path.starts_with(b"/") {
                return Err(Failure::new(
                    "the path of replace.uri does not start with /",
                ));
            }
            scene.exchange.set_path(&path);
        }
        if let Some(method) = &self.method {
            scene.exchange.head.set_method(method.clone());
            if self.moves_form() {
                move_form(scene.exchange);
            }
        }
        let headers = self.headers.fill(&mut scene, &mut values)?;
        let early = match self.fills_at_once {
            true => Some((
                self.body.fill(&mut scene, &mut values)?,
                self.query.fill(&mut scene, &mut values)?,
            )),
            false => None,
        };
        change_headers(scene.exchange, headers)?;
        let (body, query) = match early {
            Some(early) => early,
            None => (
                self.body.fill(&mut scene, &mut values)?,
                self.query.fill(&mut scene, &mut values)?,
            ),
        };
        if !self.body.is_empty() {
            body::change(scene.exchange, &body)?;
        }
        if !self.query.is_empty() {
            change_query(scene.exchange, &query);
        }
        Ok(())
    }

    /// Whether the fields of a form become arguments of the query, because the new method has no body.
    fn moves_form(&self) -> bool {
        let name = self.method.as_ref().map(Method::as_str);
        matches!(name, Some("GET" | "HEAD" | "TRACE"))
    }
}

impl Part {
    fn compile(
        config: &Config,
        of: fn(&Lists) -> &Vec<String>,
        lua: &UntrustedLua,
    ) -> Result<Self, Failure> {
        let pairs = |lists: &Lists| {
            let entries = of(lists).iter().map(|entry| lists::split(entry));
            // An entry without a value changes nothing.
            let entries = entries.filter(|(_, value)| !value.is_empty());
            let pairs =
                entries.map(|(name, value)| Ok((name.to_owned(), Template::compile(value, lua)?)));
            pairs.collect::<Result<Vec<_>, Failure>>()
        };
        let removed = of(&config.remove).iter().map(|entry| lists::split(entry).0);
        Ok(Self {
            remove: removed.map(str::to_owned).collect(),
            rename: pairs(&config.rename)?,
            replace: pairs(&config.replace.lists)?,
            add: pairs(&config.add)?,
            append: pairs(&config.append)?,
        })
    }

    fn lists(&self) -> [&Vec<(String, Template)>; 4] {
        [&self.rename, &self.replace, &self.add, &self.append]
    }

    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.lists().iter().all(|list| list.is_empty())
    }

    /// Whether there is nothing to fill in.
    fn is_text(&self) -> bool {
        let mut values = self.lists().into_iter().flatten();
        values.all(|(_, value)| value.as_text().is_some())
    }

    fn fill(&self, scene: &mut Scene<'_, '_>, values: &mut Values) -> Result<Changes<'_>, Failure> {
        Ok(Changes {
            remove: &self.remove,
            rename: pairs(&self.rename, scene, values)?,
            replace: pairs(&self.replace, scene, values)?,
            add: pairs(&self.add, scene, values)?,
            append: pairs(&self.append, scene, values)?,
        })
    }
}

/// Names with their values: what is filled in, or the text that there is.
///
/// Perf: nothing is allocated for a list without entries (bench case "request-transformer, three headers").
fn pairs<'a>(
    list: &'a [(String, Template)],
    scene: &mut Scene<'_, '_>,
    values: &mut Values,
) -> Result<Pairs<'a>, Failure> {
    let mut pairs = Vec::with_capacity(list.len());
    for (name, template) in list {
        let value = match template.as_text() {
            Some(text) => Cow::Borrowed(text.as_bytes()),
            None => Cow::Owned(template.fill(scene, values)?),
        };
        pairs.push((name.as_str(), value));
    }
    Ok(pairs)
}

/// The host goes by its own way: it is part of where the request goes.
fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

fn set_host(exchange: &mut Exchange<'_>, value: &[u8]) -> Result<(), Failure> {
    let value = std::str::from_utf8(value);
    let value = value.map_err(|_| Failure::new("a host that is no UTF-8"))?;
    exchange.work.upstream.host_header = Some(value.into());
    Ok(())
}

fn change_headers(exchange: &mut Exchange<'_>, changes: Changes<'_>) -> Result<(), Failure> {
    for name in changes.remove {
        if !is_host(name) {
            exchange.head.headers.remove(name.as_str());
        }
    }
    for (old, new) in changes.rename {
        let headers = &mut exchange.head.headers;
        if is_host(old) || !headers.contains(old) {
            continue;
        }
        let new = String::from_utf8(new.into_owned());
        let new = new.map_err(|_| Failure::new("a header's name that is no UTF-8"))?;
        let values: Vec<_> = headers.get_all(old).map(<[u8]>::to_vec).collect();
        headers.remove(old);
        headers.remove(new.as_str());
        for value in values {
            headers.append(new.as_str(), value)?;
        }
    }
    for (name, value) in changes.replace {
        if is_host(name) {
            set_host(exchange, &value)?;
        } else if exchange.head.headers.contains(name) {
            exchange.head.headers.set(name, value)?;
        }
    }
    for (name, value) in changes.add {
        let headers = &mut exchange.head.headers;
        if !is_host(name) && !headers.contains(name) {
            headers.append(name, value)?;
        }
    }
    for (name, value) in changes.append {
        if is_host(name) {
            set_host(exchange, &value)?;
        } else {
            exchange.head.headers.append(name, value)?;
        }
    }
    Ok(())
}

/// Compat: the query is written anew, sorted by names, whatever was changed of it.
fn change_query(exchange: &mut Exchange<'_>, changes: &Changes<'_>) {
    let mut query = Named::of(arguments(exchange.query()));
    query.change(changes);
    query.sort();
    let query = query.encode();
    exchange.set_query(&query);
}

/// Adds the fields of a form to the query.
fn move_form(exchange: &mut Exchange<'_>) {
    let kind = exchange.head.headers.get_str(Known::ContentType);
    let form = "application/x-www-form-urlencoded";
    let is_form = kind.is_some_and(|kind| kind.to_ascii_lowercase().contains(form));
    if !is_form || exchange.body().is_empty() {
        return;
    }
    let mut query = Named::of(arguments(exchange.query()));
    query.extend(Named::of(arguments(exchange.body())));
    query.sort();
    let query = query.encode();
    exchange.set_query(&query);
}
