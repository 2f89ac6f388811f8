//! Integration tests of every behavior through the API, on SQLite and disk and on PostgreSQL and S3.

#![allow(clippy::disallowed_methods, reason = "clippy.toml is about the server")]

mod access;
mod architecture;
mod archives;
mod backup;
#[cfg(feature = "ui")]
mod browser;
mod bucket_faults;
mod changes;
mod checks;
mod cli;
mod client_disconnects;
mod clients;
mod conflicts;
mod connections;
mod content_types;
mod crash_resume;
mod database;
mod database_faults;
mod direct;
mod disk_faults;
mod doctor;
mod download;
mod early_responses;
mod ended_rights;
mod erase;
mod events;
mod export;
#[cfg(feature = "faults")]
mod faults;
mod file_paths;
mod folders;
mod fsck;
mod garage;
mod generated_clients;
mod grants;
mod hosts;
mod idempotency;
mod links;
mod logs;
mod memory;
mod metadata;
mod model;
mod multi_server;
mod openapi;
mod openapi_fuzz;
mod origins;
mod outages;
mod ownership;
#[cfg(feature = "faults")]
mod panics;
mod pooler;
mod power_loss;
mod query_plans;
mod quota;
mod reaper;
mod rename;
mod rights_walk;
mod sessions;
mod shares;
mod signed;
mod single_instance;
mod slow_clients;
mod spaces;
mod store;
mod store_faults;
mod store_resumable;
mod strict_input;
mod support;
mod throttle;
mod tokens;
mod trash;
mod tus;
mod upload;
mod words;
