//! Kong's expression language: parsed and checked by `atc-router`, compiled to a form that reads a request directly.

mod evaluate;
mod index;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use atc_router::ast::{self, BinaryOperator, LogicalExpression, Type, Value};
use atc_router::schema::Schema;
use atc_router::semantics::Validate;
use ipnet::IpNet;
use regex::Regex;

use crate::Error;

pub(crate) use evaluate::Trace;

/// The declaration of routes has the same limits: the parser needs stack for each operator and parenthesis.
const MAX_OPERATORS: usize = 1000;
const MAX_DEPTH: usize = 200;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Node);

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Predicate),
}

#[derive(Debug)]
struct Predicate {
    field: Field,
    /// Compare in lower case.
    lower: bool,
    /// One value that passes is enough; otherwise all of the field's values must.
    any: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Method,
    Host,
    Path,
    Protocol,
    Sni,
    SourceIp,
    SourcePort,
    DestinationIp,
    DestinationPort,
    SegmentCount,
    /// The segments from the first to the last, both included, with the slashes between them.
    Segments(usize, usize),
    Header(Box<str>),
    Query(Box<str>),
    /// A field that no request has.
    Missing,
}

#[derive(Debug)]
enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    Regex(Regex),
    Number(Comparison, i64),
    Address { is: bool, address: IpAddr },
    Network { inside: bool, network: IpNet },
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Expression {
    /// Compiles an expression over the fields of HTTP requests or of stream connections.
    pub(crate) fn compile(text: &str, stream: bool) -> Result<Self, Error> {
        let tree = parse(text, stream)?;
        node(&tree).map(Self)
    }
}

fn parse(text: &str, stream: bool) -> Result<ast::Expression, Error> {
    static HTTP: LazyLock<Schema> = LazyLock::new(|| schema(false));
    static STREAM: LazyLock<Schema> = LazyLock::new(|| schema(true));
    let text = with_destination_port(text);
    let operators = text.matches("&&").count() + text.matches("||").count();
    if operators > MAX_OPERATORS || depth(&text) > MAX_DEPTH {
        let limits = "the expression has too many operators or is nested too deeply";
        return Err(Error::Expression(limits.to_owned()));
    }
    let tree =
        atc_router::parser::parse(&text).map_err(|error| Error::Expression(error.to_string()))?;
    tree.validate(if stream { &STREAM } else { &HTTP })
        .map_err(Error::Expression)?;
    Ok(tree)
}

fn schema(stream: bool) -> Schema {
    let mut schema = Schema::default();
    for field in ["net.protocol", "tls.sni"] {
        schema.add_field(field, Type::String);
    }
    for field in ["net.src.port", "net.dst.port"] {
        schema.add_field(field, Type::Int);
    }
    for field in ["net.src.ip", "net.dst.ip"] {
        schema.add_field(field, Type::IpAddr);
    }
    if !stream {
        let texts = [
            "http.method",
            "http.host",
            "http.path",
            "http.path.segments.*",
            "http.headers.*",
            "http.queries.*",
        ];
        for field in texts {
            schema.add_field(field, Type::String);
        }
        schema.add_field("http.path.segments.len", Type::Int);
    }
    schema
}

/// Compat: `net.port` is an old name of `net.dst.port`.
fn with_destination_port(text: &str) -> Cow<'_, str> {
    const OLD: &str = "net.port";
    if !text.contains(OLD) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut parts = text.split(OLD);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let compared = part.trim_ascii_start().starts_with(['=', '>', '<', '!']);
        out.push_str(if compared { "net.dst.port" } else { OLD });
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// The deepest nesting of parentheses; those in texts count as well.
fn depth(text: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for byte in text.bytes() {
        match byte {
            b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Compiles a tree. Operators of one kind make a long chain to the left, which is walked and not descended into.
fn node(tree: &ast::Expression) -> Result<Node, Error> {
    let logical = match tree {
        ast::Expression::Predicate(predicate) => {
            return compile_predicate(predicate).map(Node::Test);
        }
        ast::Expression::Logical(logical) => &**logical,
    };
    if let LogicalExpression::Not(inner) = logical {
        return node(inner).map(|inner| Node::Not(Box::new(inner)));
    }
    let is_and = matches!(logical, LogicalExpression::And(..));
    let mut operands = Vec::new();
    let mut rest = tree;
    while let ast::Expression::Logical(logical) = rest {
        let (left, right) = match &**logical {
            LogicalExpression::And(left, right) if is_and => (left, right),
            LogicalExpression::Or(left, right) if !is_and => (left, right),
            _ => break,
        };
        operands.push(node(right)?);
        rest = left;
    }
    operands.push(node(rest)?);
    operands.reverse();
    Ok(if is_and {
        Node::All(operands)
    } else {
        Node::Any(operands)
    })
}

fn compile_predicate(predicate: &ast::Predicate) -> Result<Predicate, Error> {
    let (lower, any) = predicate.lhs.get_transformations();
    let misfit = || {
        Error::Expression(format!(
            "the operator does not fit '{}'",
            predicate.lhs.var_name
        ))
    };
    let test = match (&predicate.op, &predicate.rhs) {
        (BinaryOperator::Equals, Value::String(text)) => Test::Equal(text.as_str().into()),
        (BinaryOperator::NotEquals, Value::String(text)) => Test::NotEqual(text.as_str().into()),
        (BinaryOperator::Prefix, Value::String(text)) => Test::Prefix(text.as_str().into()),
        (BinaryOperator::Postfix, Value::String(text)) => Test::Suffix(text.as_str().into()),
        (BinaryOperator::Contains, Value::String(text)) => Test::Contains(text.as_str().into()),
        (BinaryOperator::Regex, Value::Regex(regex)) => Test::Regex(regex.clone()),
        (op, Value::Int(number)) => Test::Number(comparison(op).ok_or_else(misfit)?, *number),
        (op @ (BinaryOperator::Equals | BinaryOperator::NotEquals), Value::IpAddr(address)) => {
            Test::Address {
                is: *op == BinaryOperator::Equals,
                address: *address,
            }
        }
        (op @ (BinaryOperator::In | BinaryOperator::NotIn), Value::IpCidr(network)) => {
            Test::Network {
                inside: *op == BinaryOperator::In,
                network: parse_network(&network.to_string()).ok_or_else(misfit)?,
            }
        }
        _ => return Err(misfit()),
    };
    Ok(Predicate {
        field: Field::parse(&predicate.lhs.var_name),
        lower,
        any,
        test,
    })
}

/// A network of a single address is printed without its mask.
fn parse_network(text: &str) -> Option<IpNet> {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(|| address(text))
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Equals => Comparison::Equal,
        BinaryOperator::NotEquals => Comparison::NotEqual,
        BinaryOperator::Greater => Comparison::Greater,
        BinaryOperator::GreaterOrEqual => Comparison::GreaterOrEqual,
        BinaryOperator::Less => Comparison::Less,
        BinaryOperator::LessOrEqual => Comparison::LessOrEqual,
        _ => return None,
    })
}

impl Field {
    fn parse(name: &str) -> Self {
        match name {
            "http.method" => Self::Method,
            "http.host" => Self::Host,
            "http.path" => Self::Path,
            "net.protocol" => Self::Protocol,
            "tls.sni" => Self::Sni,
            "net.src.ip" => Self::SourceIp,
            "net.src.port" => Self::SourcePort,
            "net.dst.ip" => Self::DestinationIp,
            "net.dst.port" => Self::DestinationPort,
            "http.path.segments.len" => Self::SegmentCount,
            _ => {
                if let Some(range) = name.strip_prefix("http.path.segments.") {
                    segments(range)
                        .map_or(Self::Missing, |(first, last)| Self::Segments(first, last))
                } else if let Some(header) = name.strip_prefix("http.headers.") {
                    Self::Header(header.into())
                } else if let Some(query) = name.strip_prefix("http.queries.") {
                    Self::Query(query.into())
                } else {
                    Self::Missing
                }
            }
        }
    }
}

/// The fields of HTTP requests, for tests that run Kong's matcher.
#[cfg(test)]
pub(crate) fn fields_of_http() -> Schema {
    schema(false)
}

/// Reads `3` or `1_4`.
fn segments(range: &str) -> Option<(usize, usize)> {
    match range.split_once('_') {
        None => range.parse().ok().map(|only| (only, only)),
        Some((first, last)) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first < last).then_some((first, last))
        }
    }
}
