//! The API document in the repository is current and complete.

use serde_json::Value;

use crate::support::client::Ask;
use crate::support::{Setup, TestApp, both};

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
fn the_served_document_is_compact() {
    let compact = description().to_string();
    assert!(compact.len() < 365_000, "{} bytes", compact.len());
}

#[test]
fn every_operation_has_its_name_summary_tag_and_responses() {
    let description = description();
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let tags: Vec<_> = description["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (name, operation) in operations(&description) {
        assert!(operation["operationId"].is_string(), "{name}: operationId");
        assert!(operation["summary"].is_string(), "{name}: summary");
        assert!(operation["security"].is_array(), "{name}: security");
        assert!(tags.contains(&&operation["tags"][0]), "{name}: tag");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{name}: success");
        for (status, response) in responses {
            let shared = response["$ref"].as_str();
            assert_eq!(shared.is_some(), status.as_str() >= "400", "{name}: {status}");
            assert!(shared.is_some() || response["description"].is_string(), "{name}: {status} has no description");
        }
    }
}

#[test]
fn a_problem_response_lists_codes_of_its_status() {
    let description = description();
    let codes = description["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    let mut documented = Vec::new();
    for (name, operation) in operations(&description) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let Some(reference) = response["$ref"].as_str() else { continue };
            let shared = description.pointer(&reference[1..]).unwrap();
            let example = &shared["content"]["application/problem+json"]["example"];
            assert_eq!(example["status"].to_string(), *status, "{name}");
            documented.extend(shared["x-problem-codes"].as_array().unwrap());
        }
    }
    for code in codes {
        // The router answers 405 where there is no operation, 421 is for other hosts, and 431 is sent before routing.
        let is_of_none = ["method_not_allowed", "misdirected", "headers_too_large"].map(Value::from).contains(code);
        assert!(is_of_none || documented.contains(&code), "no operation documents {code}");
    }
}

#[test]
fn every_json_body_has_an_example() {
    let description = description();
    for (name, operation) in operations(&description) {
        let responses = operation["responses"].as_object().unwrap().values();
        let bodies = responses.chain([&operation["requestBody"]]);
        let contents = bodies.flat_map(|body| body["content"].as_object().into_iter().flatten());
        for (media, content) in contents.filter(|(media, _)| media.ends_with("json")) {
            let reference = content["schema"]["$ref"].as_str().unwrap_or_default();
            let schema = reference.rsplit('/').next().unwrap_or_default();
            let has_one = !content["example"].is_null() || has_example(&description["components"]["schemas"], schema);
            assert!(has_one || name == "get /openapi.json", "{name}: {media} {schema} has no example");
        }
    }
}

/// Every operation, with its method and path.
fn operations(description: &Value) -> Vec<(String, &Value)> {
    let paths = description["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

both! {
    async fn the_served_document_is_about_this_server(app: TestApp) {
        let app = app.restart_with(|config| config.limits.page = 20).await;
        let served = app.anonymous().get("/openapi.json").answer().await.json();
        assert_eq!(served["servers"][0]["url"], app.url(""));
        assert_eq!(served["components"]["securitySchemes"]["cookie"]["name"], "strongroom");
        let parameters = served["paths"]["/v1/files"]["get"]["parameters"].as_array().unwrap();
        let limit = parameters.iter().find(|parameter| parameter["name"] == "limit").unwrap();
        assert_eq!(limit["schema"]["maximum"], 20);
    }

    async fn capabilities_include_the_limits(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let capabilities = ann.get("/v1/capabilities").answer().await.json();
        let limits = &app.app.config.limits;
        assert_eq!(capabilities["page_limit"], limits.page);
        assert_eq!(capabilities["batch_limit"], limits.batch);
        assert_eq!(capabilities["max_file_size"], limits.file_size);
        assert_eq!(capabilities["upload_chunk_size"], 64 * 1024 * 1024);
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
