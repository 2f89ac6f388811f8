//! Every behaviour, through the front door, on SQLite + disk and on PostgreSQL + S3.

mod database;
mod download;
mod names;
mod openapi;
mod ownership;
mod reaper;
mod rooms;
mod signed;
mod store;
mod store_faults;
mod support;
mod upload;
