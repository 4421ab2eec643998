"""Where series come from: files, the database, and the simulator. Each gives `SiteSeries`."""
