//! The Prometheus text format (version 0.0.4), written from families that are declared before they have samples.

use std::fmt::Write as _;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP {name} {}\n# TYPE {name} {kind}",
            escape(help, false)
        );
        Family {
            page: self,
            name: name.to_owned(),
        }
    }

    /// The text as it is sent.
    pub fn finish(self) -> String {
        self.0
    }
}

/// The samples of one family.
pub struct Family<'a> {
    page: &'a mut Page,
    name: String,
}

impl Family<'_> {
    /// Adds one sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let text = &mut self.page.0;
        text.push_str(&self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(text, "{open}{name}=\"{}\"", escape(value, true));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
        self
    }
}

fn escape(text: &str, quotes: bool) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes {
        escaped.replace('"', "\\\"")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_help_type_and_escaped_labels() {
        let mut page = Page::new();
        page.family("kong_node_info", Kind::Gauge, "Kong Node metadata")
            .sample(&[("a", "x\"y"), ("b", "1\n2")], 1.0);
        page.family("kong_requests_total", Kind::Counter, "Requests")
            .sample(&[], 3.0);
        let expected = "# HELP kong_node_info Kong Node metadata\n# TYPE kong_node_info gauge\n\
                        kong_node_info{a=\"x\\\"y\",b=\"1\\n2\"} 1\n\
                        # HELP kong_requests_total Requests\n# TYPE kong_requests_total counter\nkong_requests_total 3\n";
        assert_eq!(page.finish(), expected);
    }
}
