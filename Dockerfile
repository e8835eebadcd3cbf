# The page in a container, for a processor: docker build -t stav2a . && docker run --rm -p 7860:7860 stav2a
FROM python:3.12-slim
WORKDIR /opt/stav2a
COPY packages.txt requirements.txt ./
RUN apt-get update \
    && xargs apt-get install --yes --no-install-recommends < packages.txt \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir --requirement requirements.txt
COPY . .
RUN useradd --create-home page
USER page
EXPOSE 7860
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
