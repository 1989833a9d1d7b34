-- Flights arrive in the order of their scheduled departure; the watermark follows them.
CREATE SOURCE flights (
    scheduled timestamptz NOT NULL,
    hour      timestamptz NOT NULL,
    carrier   text NOT NULL,
    flight    integer NOT NULL,
    tailnum   text,
    origin    text NOT NULL,
    dest      text NOT NULL,
    dep_delay integer,
    arr_delay integer,
    air_time  integer,
    distance  integer NOT NULL,
    WATERMARK FOR scheduled
);

CREATE TABLE airlines (carrier text PRIMARY KEY, name text NOT NULL);

CREATE TABLE weather (
    origin     text NOT NULL,
    hour       timestamptz NOT NULL,
    temp       double precision,
    wind_speed double precision,
    precip     double precision,
    visib      double precision,
    PRIMARY KEY (origin, hour)
);

-- One row per carrier and hour, once the hour is over.
CREATE MATERIALIZED VIEW delay_per_carrier_hour AS
    SELECT carrier, window_start, window_end, count(*) AS flights,
           count(*) - count(dep_delay) AS cancelled, avg(dep_delay) AS avg_delay, max(dep_delay) AS worst_delay
    FROM TUMBLE(flights, scheduled, INTERVAL '1 hour')
    GROUP BY carrier, window_start, window_end
    EMIT ON WINDOW CLOSE;

-- Always current, flight by flight.
CREATE MATERIALIZED VIEW airport_totals AS
    SELECT origin, dest, count(*) AS flights, sum(distance) AS miles, avg(arr_delay) AS avg_delay
    FROM flights
    GROUP BY origin, dest;

CREATE VIEW airport_ranking AS
    SELECT rank() OVER (ORDER BY sum(flights) DESC) AS place, dest AS airport, sum(flights) AS flights,
           round(sum(avg_delay * flights) / sum(flights), 1) AS avg_delay
    FROM airport_totals
    GROUP BY dest;

-- Each flight with the weather of its hour; a correction of the weather corrects the view.
CREATE MATERIALIZED VIEW flights_in_weather AS
    SELECT f.scheduled, f.carrier, a.name AS airline, f.flight, f.origin, f.dest, f.dep_delay,
           w.temp, w.wind_speed, w.precip, w.visib
    FROM flights f
    JOIN weather w ON w.origin = f.origin AND w.hour = f.hour
    JOIN airlines a ON a.carrier = f.carrier;

CREATE MATERIALIZED VIEW delay_by_visibility AS
    SELECT CASE WHEN visib < 1 THEN 'fog' WHEN visib < 5 THEN 'poor' WHEN visib < 10 THEN 'fair' ELSE 'clear' END
               AS visibility,
           count(*) AS flights, avg(dep_delay) AS avg_delay
    FROM flights_in_weather
    GROUP BY 1;
