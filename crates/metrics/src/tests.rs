use super::*;

static INFO: Family = Family::gauge("kong_node_info", &["a", "b"], "What node this is");
static REQUESTS: Family = Family::counter("requests_total", &[], "Requests");
static BYTES: Family = Family::counter("kong_bandwidth_bytes", &["direction"], "Bytes");
static TIMES: Family = Family::histogram("times_ms", &["route"], "Times");

fn page() -> Page {
    let mut page = Page::new();
    page.sample(&REQUESTS, &[], 3u64);
    page.sample(&INFO, &["x\"y\\", "1\n2"], 1.5);
    page.sample(&BYTES, &["in"], 7u64);
    page.histogram(&TIMES, &["r"], &[1, 20], &[2, 1, 4], 70.25);
    // A family may be written by several hands.
    page.sample(&BYTES, &["out"], 8u64);
    page
}

#[test]
fn a_page_has_its_families_in_order_each_in_one_piece() {
    let expected = "\
# HELP kong_bandwidth_bytes Bytes
# TYPE kong_bandwidth_bytes counter
kong_bandwidth_bytes{direction=\"in\"} 7
kong_bandwidth_bytes{direction=\"out\"} 8
# HELP kong_node_info What node this is
# TYPE kong_node_info gauge
kong_node_info{a=\"x\\\"y\\\\\",b=\"1\\n2\"} 1.5
# HELP requests_total Requests
# TYPE requests_total counter
requests_total 3
# HELP times_ms Times
# TYPE times_ms histogram
times_ms_bucket{route=\"r\",le=\"1\"} 2
times_ms_bucket{route=\"r\",le=\"20\"} 3
times_ms_bucket{route=\"r\",le=\"+Inf\"} 7
times_ms_count{route=\"r\"} 7
times_ms_sum{route=\"r\"} 70.25
";
    assert_eq!(page().finish(Format::Text), expected);
}

#[test]
fn openmetrics_has_the_same_samples_other_types_and_an_end() {
    let samples = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let text = page().finish(Format::Text);
    let open = page().finish(Format::OpenMetrics);
    assert_eq!(samples(&text), samples(&open));
    assert!(open.contains("# TYPE requests counter\n"), "{open}");
    assert!(
        open.contains("# TYPE kong_bandwidth_bytes unknown\n"),
        "{open}"
    );
    assert!(open.ends_with("\n# EOF\n"), "{open}");
}

#[test]
fn the_accept_header_chooses_the_format() {
    use Format::{OpenMetrics, Text};
    for (accept, expected) in [
        (None, Text),
        (Some(""), Text),
        (Some("*/*"), Text),
        (Some("application/json"), Text),
        (Some("application/openmetrics-text"), OpenMetrics),
        (
            Some("application/openmetrics-text;version=2.0.0,text/plain"),
            Text,
        ),
        // What Prometheus 2.42 sends.
        (
            Some(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ),
            OpenMetrics,
        ),
        (
            Some("text/plain; version=0.0.4, application/openmetrics-text; q=0.3"),
            Text,
        ),
        (Some("application/openmetrics-text;q=0"), Text),
    ] {
        assert_eq!(Format::accepted(accept), expected, "{accept:?}");
    }
}
