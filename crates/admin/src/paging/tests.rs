use schema::Field;

use super::*;

fn schema() -> Schema {
    Schema::new("services", "").field_as("tags", Field::set("", Field::string("")))
}

fn query(text: &str) -> Map<String, Value> {
    crate::arguments::decode_query(Some(text)).unwrap()
}

#[track_caller]
fn refused(text: &str) -> String {
    Paging::read(&query(text), &schema())
        .unwrap_err()
        .to_string()
}

fn tags(text: &str) -> Option<TagFilter> {
    Paging::read(&query(text), &schema())
        .unwrap()
        .request(None)
        .tags
}

#[test]
fn a_page_has_a_hundred_records_unless_the_query_says_otherwise() {
    assert_eq!(Paging::read(&query(""), &schema()).unwrap().size(), 100);
    assert_eq!(
        Paging::read(&query("size=1e1"), &schema()).unwrap().size(),
        10
    );
}

#[test]
fn sizes_out_of_bounds_are_refused() {
    for size in ["0", "1001", "-3", "1.5", "1e400"] {
        assert_eq!(
            refused(&format!("size={size}")),
            "size must be an integer between 1 and 1000",
            "{size}"
        );
    }
    for size in ["size=many", "size=", "size"] {
        assert_eq!(refused(size), "size must be a number", "{size}");
    }
}

#[test]
fn tags_are_joined_by_commas_or_slashes_but_not_both() {
    assert!(matches!(tags("tags=a,b"), Some(TagFilter::All(tags)) if tags == ["a", "b"]));
    assert!(matches!(tags("tags=a/b"), Some(TagFilter::Any(tags)) if tags == ["a", "b"]));
    assert!(matches!(tags("tags=two+words"), Some(TagFilter::All(tags)) if tags == ["two words"]));
    assert!(matches!(tags("tags=a,"), Some(TagFilter::All(tags)) if tags == ["a", ""]));
    for text in ["tags=a,b/c", "tags=,a", "tags=a%0a", "tags", "tags=,"] {
        assert_eq!(
            refused(text),
            "invalid option (tags: invalid filter syntax)",
            "{text}"
        );
    }
    assert_eq!(
        refused("tags=a,b,c,d,e,f"),
        "invalid option (tags: cannot query more than 5 tags)"
    );
}

#[test]
fn the_link_to_the_next_page_keeps_what_was_asked() {
    let paging = Paging::read(&query("size=2&tags=a/b"), &schema()).unwrap();
    let body = paging.body("/services", vec![], Some("x=".to_owned()));
    assert_eq!(body["next"], "/services?offset=x%3D&tags=a%2Fb&size=2");
    assert_eq!(body["offset"], "x=");
}

#[test]
fn the_last_page_has_no_link() {
    let body = Paging::default().body("/services", vec![], None);
    assert_eq!(body, json!({ "data": [], "next": null }));
}
