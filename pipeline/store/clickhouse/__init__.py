"""The log store on ClickHouse: rows on a server, the ledger of each partition here."""
