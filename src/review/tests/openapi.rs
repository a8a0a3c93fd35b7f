//! The description of the API: as committed, and in itself consistent.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Fixture;

#[test]
fn the_description_is_the_committed_one() {
    insta::assert_snapshot!("openapi", super::super::openapi::json());
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&super::super::openapi::json()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 30);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let operations: Vec<&Value> =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values()).collect();
    let names: BTreeSet<&str> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len());
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "$ref" => references.push(text.clone()),
                    value => collect(value, references),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every described operation exists: it answers with something else than "no such thing".
#[tokio::test]
async fn what_is_described_is_served() {
    let fixture = Fixture::new().await;
    let document: Value = serde_json::from_str(&super::super::openapi::json()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let target = path.replace("{id}", "x");
            let answer = fixture.send("-", &method.to_uppercase(), &target, None).await;
            assert!(matches!(answer.status, 200 | 401 | 415), "{method} {path}: {}", answer.said());
        }
    }
}
