//! The API document in the repository is current and complete.

use serde_json::Value;

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

fn description() -> Value {
    serde_json::from_str(strongroom::api::description()).unwrap()
}

#[test]
fn the_snapshot_is_current() {
    let current = strongroom::api::description();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(SNAPSHOT, current).unwrap();
    }
    let kept = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    assert!(kept == current, "openapi.json is not current: run UPDATE_OPENAPI=1 cargo test --test it openapi");
}

#[test]
fn every_operation_documents_its_purpose_and_its_errors() {
    let description = description();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let schemas = &description["components"]["schemas"];
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["operationId"].is_string(), "{name}: operationId");
            assert!(operation["summary"].is_string(), "{name}: summary");
            assert!(operation["tags"][0].is_string(), "{name}: tag");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name}: success");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let problem = &response["content"]["application/problem+json"];
                assert_eq!(problem["example"]["status"].to_string(), *status, "{name}: {status}");
            }
            let bodies = responses.values().chain([&operation["requestBody"]]);
            let references = bodies.flat_map(|body| body["content"].as_object().into_iter().flatten());
            for (media, content) in references.filter(|(media, _)| media.ends_with("json")) {
                let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
                let schema = reference.rsplit('/').next().unwrap_or_default();
                let shown = !content["example"].is_null() || has_example(schemas, schema) || path == "/openapi.json";
                assert!(shown, "{name}: {media} {schema} has no example");
            }
        }
    }
}

/// A schema with an example of its own, or whose members all have one.
fn has_example(schemas: &Value, name: &str) -> bool {
    let schema = &schemas[name];
    let of_member = |member: &Value| {
        let reference = member["$ref"].as_str().or_else(|| member["items"]["$ref"].as_str());
        !member["example"].is_null()
            || reference.is_some_and(|reference| has_example(schemas, reference.rsplit('/').next().unwrap_or_default()))
    };
    let whole = schema["allOf"].as_array().is_some_and(|parts| parts.iter().any(of_member));
    whole
        || !schema["example"].is_null()
        || schema["properties"].as_object().is_some_and(|members| members.values().any(of_member))
}
