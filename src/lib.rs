#![doc = include_str!("../ARCHITECTURE.md")]

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod faults;
pub mod files;
pub mod hex;
pub mod jobs;
pub mod keys;
pub mod logs;
pub mod store;
pub mod unicode;
pub mod users;
