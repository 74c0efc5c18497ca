//! The declarations that the suite works on: small, and with every relation that a store must know.

use std::sync::LazyLock;

use schema::{Field, Schema};

static ALL: LazyLock<Vec<Schema>> = LazyLock::new(declare);

fn declare() -> Vec<Schema> {
    let text = || Field::string("Text.");
    let tags = || Field::set("Tags.", text());
    let mut parents = Schema::new("parents", "Has a field of every kind.")
        .field_as("id", Field::id())
        .field_as("name", text().unique())
        .field_as("other", text().unique())
        .field_as("note", text())
        .field_as("count", Field::integer("A whole number."))
        .field_as("ratio", Field::number("A number."))
        .field_as("flag", Field::boolean("True or false."))
        .field_as("list", Field::array("A list.", text()))
        .field_as("map", Field::map("A map.", text(), text()))
        .field_as(
            "options",
            Field::record("A record.", vec![("deep", text())]),
        )
        .field_as("elsewhere", text().transient())
        .field_as("tags", tags());
    parents.endpoint_key = Some("name");
    let children = Schema::new("children", "Keeps its parent from being deleted.")
        .field_as("id", Field::id())
        .field_as("parent", Field::foreign_to("The parent.", "parents"))
        .field_as("name", text())
        .field_as("tags", tags());
    let to_parent = Field::foreign_to("The parent.", "parents").on_delete_cascade();
    let mut dependents = Schema::new(
        "dependents",
        "Is deleted with its parent, and unique by kind.",
    )
    .field_as("id", Field::id())
    .field_as("parent", to_parent)
    .field_as("kind", text());
    dependents.cache_key = &["parent", "kind"];
    let to_dependent = Field::foreign_to("The dependent.", "dependents");
    let leaves = Schema::new("leaves", "Is deleted with its dependent.")
        .field_as("id", Field::id())
        .field_as("dependent", to_dependent.clone().on_delete_cascade())
        .field_as("tags", tags());
    let guards = Schema::new(
        "guards",
        "Keeps a dependent, and so its parent, from being deleted.",
    )
    .field_as("id", Field::id())
    .field_as("dependent", to_dependent);
    let mut tokens = Schema::new("tokens", "Expires.")
        .field_as("id", Field::id())
        .field_as("name", text().unique());
    tokens.ttl = true;
    // Children come before their parents on purpose: the catalog has to find the order.
    vec![guards, leaves, dependents, children, parents, tokens]
}

pub(super) fn all() -> &'static [Schema] {
    &ALL
}

fn named(name: &str) -> &'static Schema {
    all()
        .iter()
        .find(|schema| schema.name == name)
        .expect("the suite declares it")
}

pub(super) fn parents() -> &'static Schema {
    named("parents")
}

pub(super) fn children() -> &'static Schema {
    named("children")
}

pub(super) fn dependents() -> &'static Schema {
    named("dependents")
}

pub(super) fn leaves() -> &'static Schema {
    named("leaves")
}

pub(super) fn guards() -> &'static Schema {
    named("guards")
}

pub(super) fn tokens() -> &'static Schema {
    named("tokens")
}
