SET LOCAL ROLE picket_owner;
DROP VIEW analytics."ThreatIntelligenceIndicator";
DROP TABLE picket.observable, picket.indicator, picket.feed;
DROP FUNCTION picket.feed_gone();
RESET ROLE;
